// SPDX-License-Identifier: MIT
//
// The generated proxy, the arguments of its calls, and the only place where the client translates bus errors.

#include "client/bus/manager_proxy.hpp"

#include "client/bus/answers.hpp"
#include "common/descriptor_passing.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"
#include "contract/bus_names.hpp"
#include "contract/descriptors.hpp"
#include "contract/grant.hpp"
#include "contract/hold.hpp"
#include "contract/profile.hpp"
#include "contract/request.hpp"

#include "org.qemutap1-proxy.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

class GeneratedProxy final : public sdbus::ProxyInterfaces<org::qemutap1::Manager_proxy> {
public:
    explicit GeneratedProxy(sdbus::IConnection &connection)
        : ProxyInterfaces{connection, BusServiceName{bus_name}, BusObjectPath{object_path}}
    {
        registerProxy();
    }
    ~GeneratedProxy() { unregisterProxy(); }

    LeaseList list(const Dictionary &options)
    {
        LeaseList list;
        getProxy().callMethod("List").onInterface(INTERFACE_NAME).withArguments(options).storeResultsTo(list);
        return list;
    }

    template <typename Then>
    void begin_release(const std::string &lease, Then then)
    {
        getProxy().callMethodAsync("Release").onInterface(INTERFACE_NAME).withArguments(lease).uponReplyInvoke(then);
    }
};

// Half of the pending calls that the bus allows one connection (dbus-daemon's max_replies_per_connection).
constexpr std::size_t most_calls_at_once = 64;

constexpr const char *start_the_daemon = "start it with `systemctl start qemu-tapd`, or qemu-tapd as root";

// Translates an error that the bus itself answers, because no daemon owns the name.
TapError unreachable(const std::string &name, const std::string &message)
{
    constexpr std::array<std::pair<std::string_view, const char *>, 5> causes{{
        {"org.freedesktop.DBus.Error.ServiceUnknown", "qemu-tapd is not running"},
        {"org.freedesktop.DBus.Error.NameHasNoOwner", "qemu-tapd is not running"},
        {"org.freedesktop.DBus.Error.NoReply", "qemu-tapd gave no answer"},
        {"org.freedesktop.DBus.Error.Timeout", "qemu-tapd gave no answer in time"},
        {"org.freedesktop.DBus.Error.AccessDenied", "the bus policy org.qemutap1.conf is not installed"},
    }};
    std::string cause = "the service can't be reached";
    const char *remedy = start_the_daemon;
    for (const auto &[error, text] : causes)
        if (name == error)
            cause = text;
    // The bus itself or systemd starts the daemon. Each has error names of its own for a failed start.
    if (name == "org.freedesktop.DBus.Error.TimedOut" || name.rfind("org.freedesktop.DBus.Error.Spawn.", 0) == 0 ||
        name.rfind("org.freedesktop.systemd1.", 0) == 0) {
        cause = "qemu-tapd could not be started";
        remedy = "`systemctl status qemu-tapd` says why";
    }
    return {ErrorCode::service_unavailable,
            "can't call " + std::string{bus_name} + ": " + cause + " (" + message + "); " + remedy};
}

template <typename Call>
auto translated(Call call)
{
    try {
        return call();
    } catch (const sdbus::Error &error) {
        const std::string &name = error.getName();
        if (const auto code = error_code_of(name))
            throw TapError{*code, error.getMessage()};
        throw unreachable(name, error.getMessage());
    }
}

Dictionary options_of(const TapRequest &request, bool interactive)
{
    Dictionary options{
        {key_hold, sdbus::Variant{std::string{text_of(request.hold)}}},
        {key_queues, sdbus::Variant{std::uint32_t{request.queues}}},
        {key_vhost, sdbus::Variant{std::string{text_of(request.vhost)}}},
        {key_interactive, sdbus::Variant{interactive}},
    };
    if (!request.label.empty())
        options.emplace(key_label, sdbus::Variant{request.label});
    if (request.idle_timeout_seconds != 0)
        options.emplace(key_idle_timeout, sdbus::Variant{request.idle_timeout_seconds});
    if (request.attended)
        options.emplace(key_attended, sdbus::Variant{true});
    if (!request.vnet)
        options.emplace(key_vnet, sdbus::Variant{false});
    if (request.profile != TapRequest{}.profile)
        options.emplace(key_profile, sdbus::Variant{std::string{text_of(request.profile)}});
    return options;
}

// The daemon puts the descriptors into the socket's queue before it answers, so a missing descriptor will never arrive.
std::vector<UniqueFd> receive_from(const UniqueFd &hand_over)
{
    try {
        return receive_descriptors(hand_over.get());
    } catch (const std::system_error &error) {
        throw TapError{ErrorCode::failed, std::string{"can't receive the lease's descriptors from qemu-tapd: "} +
                                              error.what() + "; is it of this client's version?"};
    }
}

std::vector<UniqueFd> take_descriptors(const TapRequest &request, std::vector<sdbus::UnixFd> answered)
{
    std::vector<UniqueFd> answer;
    answer.reserve(answered.size());
    for (auto &descriptor : answered)
        answer.emplace_back(descriptor.release());
    if (answer.size() != (rule_of(request.hold).gives_descriptors ? 1 : 0))
        refuse_answer(std::to_string(answer.size()) + " descriptors");
    return answer.empty() ? std::vector<UniqueFd>{} : receive_from(answer.front());
}

Acquired read_answer(const TapRequest &request, const std::string &lease, const std::vector<Dictionary> &taps,
                     std::vector<UniqueFd> descriptors)
{
    Acquired acquired{.grant = {.lease = lease,
                                .label = request.label,
                                .uid = ::geteuid(),
                                .hold = request.hold,
                                .idle_timeout_seconds = request.idle_timeout_seconds,
                                .attended = request.attended,
                                .taps = read_taps(taps)},
                      .descriptors = std::move(descriptors)};
    if (acquired.descriptors.size() != granted_descriptors(acquired.grant))
        refuse_answer(std::to_string(acquired.descriptors.size()) + " descriptors");
    return acquired;
}

// Longer than polkit's own limit, so that the client is still waiting when polkit's answer arrives.
std::chrono::seconds waiting_for_polkit(std::uint64_t seconds)
{
    constexpr std::chrono::seconds margin{10};
    return std::chrono::seconds{seconds} + margin;
}

} // namespace

struct ManagerProxy::Bus {
    std::unique_ptr<sdbus::IConnection> connection;
    GeneratedProxy manager;

    explicit Bus(std::unique_ptr<sdbus::IConnection> connected)
        : connection{std::move(connected)},
          manager{*connection}
    {}
};

ManagerProxy::ManagerProxy()
{
    try {
        bus_ = std::make_unique<Bus>(sdbus::createSystemBusConnection());
        bus_->connection->setMethodCallTimeout(waiting_for_polkit(authorization_seconds));
    } catch (const sdbus::Error &error) {
        throw TapError{ErrorCode::service_unavailable,
                       "can't connect to the system bus: " + error.getMessage() + "; is dbus running?"};
    }
}

ManagerProxy::~ManagerProxy() = default;

void ManagerProxy::let_polkit_ask()
{
    interactive_ = true;
    constexpr std::uint64_t questions = 2; // polkit may ask for the taps and for vhost
    bus_->connection->setMethodCallTimeout(waiting_for_polkit(questions * interactive_authorization_seconds));
}

Acquired ManagerProxy::acquire(const TapRequest &request)
{
    auto [lease, taps, descriptors] =
        translated([&] { return bus_->manager.Acquire(request.count, options_of(request, interactive_)); });
    try {
        return read_answer(request, lease, taps, take_descriptors(request, std::move(descriptors)));
    } catch (const TapError &) {
        release(lease); // the client can't use a lease whose answer it can't read
        throw;
    }
}

void ManagerProxy::release(const std::string &lease)
{
    translated([&] { bus_->manager.Release(lease); });
}

void ManagerProxy::release_all(const std::vector<std::string> &leases)
{
    std::optional<sdbus::Error> refusal;
    std::size_t begun = 0;
    std::size_t ended = 0;
    std::function<void()> begin_next = [&] {
        bus_->manager.begin_release(leases[begun++], [&](BusReplyError error) {
            if (error && !refusal)
                refusal = *error;
            ++ended;
            if (begun < leases.size())
                begin_next();
            else if (ended == leases.size())
                bus_->connection->leaveEventLoop();
        });
    };
    translated([&] {
        while (begun < std::min(leases.size(), most_calls_at_once))
            begin_next();
        if (!leases.empty())
            bus_->connection->enterEventLoop();
        if (refusal)
            throw sdbus::Error{*refusal};
    });
}

std::vector<LeaseGrant> ManagerProxy::list(bool all)
{
    Dictionary options{{key_all, sdbus::Variant{all}}, {key_columns, sdbus::Variant{true}}};
    if (all)
        options.emplace(key_interactive, sdbus::Variant{interactive_});
    return translated([&] { return bus_->manager.list(options); }).leases;
}

} // namespace qemutap
