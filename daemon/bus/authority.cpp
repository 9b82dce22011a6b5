// SPDX-License-Identifier: MIT
//
// One asynchronous call. Its time limit is ours: the bus's default of 25 s loses to a password prompt.

#include "daemon/bus/authority.hpp"

#include "common/bus_names.hpp"

#include <chrono>
#include <map>

namespace qemutap {

namespace {

constexpr std::uint32_t allow_user_interaction = 1; // polkit's CheckAuthorizationFlags

} // namespace

Authority::Authority(sdbus::IConnection &connection)
    : polkit_{sdbus::createProxy(connection, BusServiceName{"org.freedesktop.PolicyKit1"},
                                 BusObjectPath{"/org/freedesktop/PolicyKit1/Authority"})}
{}

void Authority::ask(const std::string &sender, const std::string &action, bool interactive,
                    const std::function<void(const AuthorityAnswer &)> &then)
{
    using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
    using Result = sdbus::Struct<bool, bool, std::map<std::string, std::string>>;
    const Subject subject{"system-bus-name", std::map<std::string, sdbus::Variant>{{"name", sdbus::Variant{sender}}}};
    const std::chrono::seconds limit{interactive ? interactive_authorization_seconds : authorization_seconds};
    try {
        polkit_->callMethodAsync("CheckAuthorization")
            .onInterface("org.freedesktop.PolicyKit1.Authority")
            .withTimeout(limit)
            .withArguments(subject, action, std::map<std::string, std::string>{},
                           interactive ? allow_user_interaction : std::uint32_t{0}, std::string{})
            .uponReplyInvoke([then](BusReplyError error, const Result &result) {
                if (error)
                    then({Verdict::unavailable, error->getMessage()});
                else if (std::get<0>(result))
                    then({Verdict::granted, {}});
                else
                    then({std::get<1>(result) ? Verdict::needs_password : Verdict::refused, {}});
            });
    } catch (const sdbus::Error &error) {
        then({Verdict::unavailable, error.getMessage()});
    }
}

} // namespace qemutap
