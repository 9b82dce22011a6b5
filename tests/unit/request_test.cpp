// SPDX-License-Identifier: MIT
//
// Valid requests: both ends of every range, the values beyond them, and options that exclude each other.

#include "contract/request.hpp"

#include "common/error.hpp"
#include "contract/descriptors.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace qemutap;

namespace {

TapRequest request_of(Hold hold, unsigned count, unsigned queues, VhostChoice vhost = VhostChoice::no)
{
    TapRequest request;
    request.hold = hold;
    request.count = count;
    request.queues = queues;
    request.vhost = vhost;
    return request;
}

TapRequest idle_request(Hold hold, std::uint64_t seconds)
{
    auto request = request_of(hold, 1, 1);
    request.idle_timeout_seconds = seconds;
    return request;
}

void check_accepted(const TapRequest &request)
{
    CAPTURE(text_of(request.hold), request.count, request.queues, text_of(request.vhost), request.idle_timeout_seconds);
    bool accepted = true;
    try {
        validate(request);
    } catch (const TapError &) {
        accepted = false;
    }
    CHECK(accepted);
}

// Expects an invalid argument with each of `parts` in its text.
void check_refused(const TapRequest &request, const std::vector<std::string> &parts)
{
    CAPTURE(text_of(request.hold), request.count, request.queues, text_of(request.vhost), request.idle_timeout_seconds);
    const auto error = tap_error_of([&] { validate(request); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    const std::string text = error.what();
    for (const auto &part : parts) {
        CAPTURE(text, part);
        CHECK(contains(text, part));
    }
}

} // namespace

TEST_CASE("request: the choices of vhost are spelt no, auto and yes, and in no other way")
{
    CHECK(text_of(VhostChoice::no) == "no");
    CHECK(text_of(VhostChoice::when_possible) == "auto");
    CHECK(text_of(VhostChoice::required) == "yes");
    CHECK(parse_vhost_choice("no") == VhostChoice::no);
    CHECK(parse_vhost_choice("auto") == VhostChoice::when_possible);
    CHECK(parse_vhost_choice("yes") == VhostChoice::required);
    for (const auto *text : {"", "on", "off", "Yes", "AUTO", "maybe", "yes ", "true"}) {
        CAPTURE(text);
        CHECK(parse_vhost_choice(text) == std::nullopt);
    }
}

TEST_CASE("request: a request without options is for one tap with one queue, held by its descriptor")
{
    const TapRequest request;
    CHECK(request.count == 1);
    CHECK(request.queues == 1);
    CHECK(request.hold == Hold::fd);
    CHECK(request.vhost == VhostChoice::no);
    CHECK(request.label.empty());
    CHECK(request.idle_timeout_seconds == 0);
    CHECK_FALSE(request.attended);
    CHECK(request.profile == Profile::standard);
    CHECK_FALSE(request.interactive);
    check_accepted(request);
}

TEST_CASE("request: a count of 1 to 32 is accepted, and any other is refused with its value and range")
{
    check_accepted(request_of(Hold::name, 1, 1));
    check_accepted(request_of(Hold::name, 32, 1));
    for (const auto hold : {Hold::name, Hold::fd})
        for (const unsigned count : {0u, 33u, 10'000u, 4'294'967'295u})
            check_refused(request_of(hold, count, 1), {"count", std::to_string(count), "1", "32"});
}

TEST_CASE("request: queues of 1 to 16 are accepted, and any other number is refused with its value and range")
{
    for (const auto hold : {Hold::name, Hold::fd}) {
        check_accepted(request_of(hold, 1, 1));
        check_accepted(request_of(hold, 1, 16));
        for (const unsigned queues : {0u, 17u, 4'294'967'295u})
            check_refused(request_of(hold, 1, queues), {"queues", std::to_string(queues), "1", "16"});
    }
}

TEST_CASE("request: a lease held by descriptors has at most 16 of them, including vhost's")
{
    check_accepted(request_of(Hold::fd, 16, 1));
    check_accepted(request_of(Hold::fd, 5, 3));
    check_accepted(request_of(Hold::fd, 4, 4));
    check_accepted(request_of(Hold::fd, 8, 1, VhostChoice::required));
    check_accepted(request_of(Hold::fd, 1, 8, VhostChoice::required));
    check_accepted(request_of(Hold::fd, 2, 4, VhostChoice::required));

    check_refused(request_of(Hold::fd, 17, 1), {"17", "16"});
    check_refused(request_of(Hold::fd, 6, 3), {"18", "16"});
    check_refused(request_of(Hold::fd, 32, 16), {"512", "16"});
    check_refused(request_of(Hold::fd, 9, 1, VhostChoice::required), {"18", "16", "vhost"});
    check_refused(request_of(Hold::fd, 1, 9, VhostChoice::required), {"18", "16", "vhost"});
}

TEST_CASE("request: vhost auto never makes a request too large")
{
    check_accepted(request_of(Hold::fd, 16, 1, VhostChoice::when_possible));
    check_refused(request_of(Hold::fd, 17, 1, VhostChoice::when_possible), {"17", "16"});
}

TEST_CASE("request: vhost descriptors are given if they are requested, the lease is held by descriptors, and they fit")
{
    CHECK(wants_vhost(request_of(Hold::fd, 2, 4, VhostChoice::required)));
    CHECK(wants_vhost(request_of(Hold::fd, 8, 1, VhostChoice::when_possible)));
    CHECK_FALSE(wants_vhost(request_of(Hold::fd, 9, 1, VhostChoice::when_possible)));
    CHECK_FALSE(wants_vhost(request_of(Hold::fd, 1, 1, VhostChoice::no)));
    CHECK_FALSE(wants_vhost(request_of(Hold::name, 1, 1, VhostChoice::when_possible)));
}

TEST_CASE("request: a lease held by name has no descriptors to count")
{
    check_accepted(request_of(Hold::name, 32, 16));
    check_accepted(request_of(Hold::name, 32, 16, VhostChoice::when_possible));
}

TEST_CASE("request: vhost yes needs a lease held by descriptors")
{
    check_refused(request_of(Hold::name, 1, 1, VhostChoice::required), {"vhost", "fd"});
}

TEST_CASE("request: frames without virtio headers need a lease held by descriptors, and no vhost")
{
    auto request = request_of(Hold::fd, 2, 2);
    request.vnet = false;
    check_accepted(request);
    request.vhost = VhostChoice::when_possible;
    check_refused(request, {"vnet", "vhost"});
    request = request_of(Hold::name, 1, 1);
    request.vnet = false;
    check_refused(request, {"vnet", "'fd'"});
}

TEST_CASE("request: an idle timeout is absent, or 1 second to 365 days")
{
    check_accepted(idle_request(Hold::name, 0));
    check_accepted(idle_request(Hold::name, 1));
    check_accepted(idle_request(Hold::name, 31'536'000));
    for (const std::uint64_t seconds : {std::uint64_t{31'536'001}, UINT64_MAX})
        check_refused(idle_request(Hold::name, seconds), {"idle-timeout", std::to_string(seconds), "31536000"});
}

TEST_CASE("request: an idle timeout needs a lease held by name")
{
    check_refused(idle_request(Hold::fd, 1), {"idle-timeout", "name"});
    check_refused(idle_request(Hold::fd, 31'536'000), {"idle-timeout", "name"});
}

TEST_CASE("request: an attended lease is held by name, and can have an idle timeout")
{
    auto request = idle_request(Hold::name, 60);
    request.attended = true;
    check_accepted(request);
    request.idle_timeout_seconds = 0;
    check_accepted(request);
    request.hold = Hold::fd;
    check_refused(request, {"attended", "name"});
}
