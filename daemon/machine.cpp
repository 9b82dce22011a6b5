// SPDX-License-Identifier: MIT
//
// Calls the C library and sd-id128(3).

#include "daemon/machine.hpp"

#include <systemd/sd-id128.h>

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>

namespace qemutap {

namespace {

// The id of this application. As machine-id(5) asks, it is hashed with the machine's id, so that the machine's id
// itself is never shown.
constexpr sd_id128_t application_id = SD_ID128_MAKE(3c, 1a, 5d, 0e, 52, 1f, 4b, 6f, 9d, 1c, 7f, 22, 90, 8e, 41, d7);

} // namespace

std::uint8_t machine_byte()
{
    sd_id128_t id{};
    return sd_id128_get_machine_app_specific(application_id, &id) < 0 ? std::uint8_t{0} : id.bytes[0];
}

std::string new_lease_id()
{
    std::array<unsigned char, 8> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::system_error{errno, std::generic_category(), "getrandom"};
    std::string id;
    for (const auto byte : bytes) {
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
    }
    return id;
}

Moment now()
{
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

} // namespace qemutap
