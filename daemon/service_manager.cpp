// SPDX-License-Identifier: MIT
//
// Sends states by sd_notify(3). A manager that does not answer must not delay the daemon for long.

#include "daemon/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <cinttypes>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace qemutap {

namespace {

constexpr std::uint64_t barrier_timeout_usec = 5'000'000;

std::uint64_t monotonic_usec()
{
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_nsec) / 1'000;
}

} // namespace

bool is_started_on_demand()
{
    return std::getenv("NOTIFY_SOCKET") != nullptr || std::getenv("DBUS_STARTER_ADDRESS") != nullptr;
}

void notify_ready()
{
    sd_notify(0, "READY=1");
}

void notify_reloading()
{
    // The time distinguishes one reload from the next (Type=notify-reload).
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_usec());
}

void notify_stopping()
{
    sd_notify(0, "STOPPING=1");
}

void await_manager()
{
    sd_notify_barrier(0, barrier_timeout_usec);
}

} // namespace qemutap
