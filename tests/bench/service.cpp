// SPDX-License-Identifier: MIT
//
// Calls by sd-bus, one function for each call.

#include "tests/bench/service.hpp"

#include "common/descriptor_passing.hpp"
#include "contract/bus_names.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>

namespace qemutap::bench {

namespace {

constexpr const char *nothing_name = "org.qemutap1.Nothing";
constexpr const char *nothing_path = "/nothing";
constexpr const char *nothing_interface = "org.qemutap1.Nothing";
constexpr const char *manager = "org.qemutap1.Manager";

struct MessageDeleter {
    void operator()(sd_bus_message *message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

struct Error {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    ~Error() { sd_bus_error_free(&error); }
};

void require(int result, const std::string &what, const Error &error = {})
{
    if (result < 0)
        throw std::runtime_error{what + ": " + (error.error.message ? error.error.message : std::strerror(-result))};
}

Message answer_to(sd_bus *bus, sd_bus_message *call, const char *what)
{
    Error error;
    sd_bus_message *answer = nullptr;
    require(sd_bus_call(bus, call, 0, &error.error, &answer), what, error);
    return Message{answer};
}

Message call_of(sd_bus *bus, const char *destination, const char *path, const char *interface, const char *member)
{
    sd_bus_message *call = nullptr;
    require(sd_bus_message_new_method_call(bus, &call, destination, path, interface, member), member);
    return Message{call};
}

int answer_nothing(sd_bus_message *call, void *, sd_bus_error *)
{
    return sd_bus_reply_method_return(call, "");
}

} // namespace

Caller::Caller(uid_t uid)
{
    // The bus asks the kernel for the uid of the process that connects.
    require(::seteuid(uid), "seteuid");
    const int result = sd_bus_open_system(&bus_);
    require(::seteuid(0), "seteuid");
    require(result, "the system bus");
    require(sd_bus_set_method_call_timeout(bus_, 60'000'000), "a time limit");
}

Caller::~Caller()
{
    sd_bus_flush_close_unref(bus_);
}

Lease Caller::acquire(const char *hold)
{
    const auto call = call_of(bus_, bus_name, object_path, manager, "Acquire");
    require(sd_bus_message_append(call.get(), "ua{sv}", 1U, 1U, "hold", "s", hold), "Acquire");
    const auto answer = answer_to(bus_, call.get(), "Acquire");
    Lease lease;
    const char *id = nullptr;
    require(sd_bus_message_read(answer.get(), "s", &id), "a lease");
    lease.id = id;
    require(sd_bus_message_skip(answer.get(), "aa{sv}"), "taps");
    require(sd_bus_message_enter_container(answer.get(), 'a', "h"), "descriptors");
    if (int hand_over = -1; sd_bus_message_read(answer.get(), "h", &hand_over) > 0)
        lease.queues = receive_descriptors(hand_over);
    return lease;
}

void Caller::release(const Lease &lease)
{
    const auto call = call_of(bus_, bus_name, object_path, manager, "Release");
    require(sd_bus_message_append(call.get(), "s", lease.id.c_str()), "Release");
    answer_to(bus_, call.get(), "Release");
}

void Caller::call_nothing()
{
    answer_to(bus_, call_of(bus_, nothing_name, nothing_path, nothing_interface, "Nothing").get(), "Nothing");
}

void Caller::ask_polkit(const Caller &about)
{
    const char *name = nullptr;
    require(sd_bus_get_unique_name(about.bus_, &name), "a unique name");
    const auto call = call_of(bus_, "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                              "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    require(sd_bus_message_append(call.get(), "(sa{sv})sa{ss}us", "system-bus-name", 1U, "name", "s", name,
                                  action_acquire, 0U, 0U, ""),
            "CheckAuthorization");
    answer_to(bus_, call.get(), "CheckAuthorization");
}

void start_nothing()
{
    static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Nothing", "", "", answer_nothing, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
    };
    const pid_t parent = ::getpid();
    int ready[2];
    require(::pipe(ready), "a pipe");
    const pid_t child = ::fork();
    require(child, "fork");
    if (child > 0) {
        ::close(ready[1]);
        char byte = 0;
        const bool there = ::read(ready[0], &byte, 1) == 1;
        ::close(ready[0]);
        if (!there)
            throw std::runtime_error{"the process with the empty method did not start"};
        return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    sd_bus *bus = nullptr;
    if (::getppid() != parent || sd_bus_open_system(&bus) < 0 ||
        sd_bus_add_object_vtable(bus, nullptr, nothing_path, nothing_interface, vtable, nullptr) < 0 ||
        sd_bus_request_name(bus, nothing_name, 0) < 0 || ::write(ready[1], "", 1) != 1)
        ::_exit(1);
    for (;;)
        if (sd_bus_process(bus, nullptr) == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
            ::_exit(1);
}

} // namespace qemutap::bench
