// SPDX-License-Identifier: MIT
//
// One asynchronous call.

#include "daemon/bus/authority.hpp"

#include "daemon/log.hpp"

#include <string>

namespace qemutap {

namespace {

constexpr std::uint32_t allow_user_interaction = 1; // polkit's CheckAuthorizationFlags

constexpr const char *authority_interface = "org.freedesktop.PolicyKit1.Authority";

} // namespace

Authority::Authority(sdbus::IConnection &connection)
    : polkit_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.PolicyKit1"},
                                 BusObjectPath{"/org/freedesktop/PolicyKit1/Authority"})}
{}

void Authority::ask(const std::string &sender, const std::string &action, const AuthorityDetails &details,
                    bool interactive, std::chrono::microseconds patience,
                    const std::function<void(const AuthorityAnswer &)> &then)
{
    if (patience <= std::chrono::microseconds::zero()) {
        then({Verdict::unavailable, "it does not answer"});
        return;
    }
    using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
    using Result = sdbus::Struct<bool, bool, std::map<std::string, std::string>>;
    const Subject subject{"system-bus-name", std::map<std::string, sdbus::Variant>{{"name", sdbus::Variant{sender}}}};
    const auto cancellation = "qemu-tapd-" + std::to_string(++asked_);
    try {
        polkit_->callMethodAsync("CheckAuthorization")
            .onInterface(authority_interface)
            .withTimeout(patience)
            .withArguments(subject, action, details, interactive ? allow_user_interaction : std::uint32_t{0},
                           cancellation)
            .uponReplyInvoke([this, then, cancellation](BusReplyError error, const Result &result) {
                if (error) {
                    cancel(cancellation);
                    then({Verdict::unavailable, error->getMessage()});
                } else if (std::get<0>(result))
                    then({Verdict::granted, {}});
                else
                    then({std::get<1>(result) ? Verdict::needs_password : Verdict::refused, {}});
            });
    } catch (const sdbus::Error &error) {
        then({Verdict::unavailable, error.getMessage()});
    }
}

// After our time limit, or polkit would go on, its prompt on the user's screen. Where polkit is gone there is
// nobody to tell.
void Authority::cancel(const std::string &cancellation) noexcept
{
    try {
        polkit_->callMethodAsync("CancelCheckAuthorization")
            .onInterface(authority_interface)
            .withArguments(cancellation)
            .uponReplyInvoke([](BusReplyError) {});
    } catch (...) {
        log_debug("polkit could not be told to stop asking");
    }
}

} // namespace qemutap
