// SPDX-License-Identifier: MIT
//
// A filter of sd-bus, which sees every message before sd-bus looks for the object that it is for, and whose error is
// the call's answer. sdbus-c++ has none: its matches can't refuse, in 1.2 what they throw unwinds through sd-bus. Calls
// of a wrong signature are left to sd-bus, which refuses them without reading them.

#include "daemon/bus/call_check.hpp"

#include "common/error.hpp"
#include "contract/bus_names.hpp"
#include "contract/grant.hpp"
#include "daemon/bus/answer.hpp"
#include "daemon/bus/raw_message.hpp"
#include "daemon/bus/wire.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace qemutap {

namespace {

// The D-Bus Specification's limit for names of interfaces and members ("Valid Names").
constexpr std::size_t longest_text = 255;

constexpr const char *properties_interface = "org.freedesktop.DBus.Properties";

int require(int result)
{
    if (result < 0)
        throw std::system_error{-result, std::generic_category(), "reading a call"};
    return result;
}

class MessageOptions final : public OptionSource {
public:
    explicit MessageOptions(sd_bus_message *message)
        : message_{message}
    {}

    std::optional<OptionView> next() override
    {
        if (std::exchange(in_entry_, false))
            require(sd_bus_message_exit_container(message_));
        if (require(sd_bus_message_enter_container(message_, SD_BUS_TYPE_DICT_ENTRY, "sv")) == 0)
            return std::nullopt;
        in_entry_ = true;
        const auto *key = read<const char *>(SD_BUS_TYPE_STRING);
        return OptionView{key, value()};
    }

private:
    template <typename T>
    T read(char type)
    {
        T value{};
        require(sd_bus_message_read_basic(message_, type, &value));
        return value;
    }

    decltype(OptionView::value) value()
    {
        const char *type = nullptr;
        require(sd_bus_message_peek_type(message_, nullptr, &type));
        require(sd_bus_message_enter_container(message_, SD_BUS_TYPE_VARIANT, type));
        auto value = value_of(type);
        // Something else is no option, so nothing behind it is read.
        if (!std::holds_alternative<std::monostate>(value))
            require(sd_bus_message_exit_container(message_));
        return value;
    }

    decltype(OptionView::value) value_of(std::string_view type)
    {
        if (type == "s")
            return std::string_view{read<const char *>(SD_BUS_TYPE_STRING)};
        if (type == "u")
            return read<std::uint32_t>(SD_BUS_TYPE_UINT32);
        if (type == "t")
            return read<std::uint64_t>(SD_BUS_TYPE_UINT64);
        if (type == "b")
            return read<int>(SD_BUS_TYPE_BOOLEAN) != 0;
        return {};
    }

    sd_bus_message *message_;
    bool in_entry_ = false;
};

void check_acquire(sd_bus_message *call)
{
    std::uint32_t count = 0;
    require(sd_bus_message_read_basic(call, SD_BUS_TYPE_UINT32, &count));
    require(sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "{sv}"));
    MessageOptions options{call};
    parse_acquire(count, options);
}

void check_list(sd_bus_message *call)
{
    require(sd_bus_message_enter_container(call, SD_BUS_TYPE_ARRAY, "{sv}"));
    MessageOptions options{call};
    parse_list(options);
}

std::string_view read_text(sd_bus_message *call)
{
    const char *text = nullptr;
    require(sd_bus_message_read_basic(call, SD_BUS_TYPE_STRING, &text));
    return text;
}

void check_release(sd_bus_message *call)
{
    if (const auto lease = read_text(call); !is_lease_id(lease))
        throw no_such_lease(lease);
}

template <int Texts>
void check_texts(sd_bus_message *call)
{
    for (int argument = 1; argument <= Texts; ++argument)
        if (const auto length = read_text(call).size(); length > longest_text)
            throw TapError{ErrorCode::invalid_argument, "argument " + std::to_string(argument) + " has " +
                                                            std::to_string(length) + " bytes, but must have at most " +
                                                            std::to_string(longest_text)};
}

struct CheckedMethod {
    const char *interface;
    const char *member;
    const char *signature;
    void (*check)(sd_bus_message *call);
};

// All methods that copy something of the caller's into the service's memory or into the text of an error.
constexpr std::array<CheckedMethod, 6> checked_methods{{
    {manager_interface, "Acquire", "ua{sv}", check_acquire},
    {manager_interface, "Release", "s", check_release},
    {manager_interface, "List", "a{sv}", check_list},
    {properties_interface, "Get", "ss", check_texts<2>},
    {properties_interface, "GetAll", "s", check_texts<1>},
    {properties_interface, "Set", "ssv", check_texts<2>},
}};

void check(sd_bus_message *message)
{
    for (const auto &[interface, member, signature, check_arguments] : checked_methods) {
        if (sd_bus_message_is_method_call(message, interface, member) <= 0 ||
            sd_bus_message_has_signature(message, signature) <= 0)
            continue;
        check_arguments(message);
        require(sd_bus_message_rewind(message, 1));
    }
}

// sd-bus, which is C, calls this: no exception may leave it.
int filter(sd_bus_message *message, void *, sd_bus_error *error) noexcept
{
    try {
        try {
            check(message);
            return 0;
        } catch (...) {
            const auto refusal = to_bus_error(std::current_exception());
            return sd_bus_error_set(error, refusal.getName().c_str(), refusal.getMessage().c_str());
        }
    } catch (...) {
        return -ENOMEM;
    }
}

} // namespace

CallCheck::CallCheck(sdbus::IConnection &connection)
{
    // Never sent: a message knows its connection.
    const auto proxy = sdbus::createProxy(connection, BusServiceName{bus_name}, BusObjectPath{object_path});
    const auto call = proxy->createMethodCall(BusInterfaceName{manager_interface}, BusMethodName{"List"});
    sd_bus_slot *slot = nullptr;
    require(sd_bus_add_filter(sd_bus_message_get_bus(RawMessage::of(call)), &slot, filter, nullptr));
    filter_ = {slot, [](void *filter) { sd_bus_slot_unref(static_cast<sd_bus_slot *>(filter)); }};
}

} // namespace qemutap
