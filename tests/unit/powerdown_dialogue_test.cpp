// SPDX-License-Identifier: MIT
//
// The QMP dialogue with QEMU until a guest is off: in order, in pieces, and with a peer that is not QEMU.

#include "client/programs/vm_powerdown/powerdown_dialogue.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"
#include "tests/unit/outcome.hpp"

#include <string>
#include <string_view>

using namespace qemutap;

namespace {

// The texts of QEMU 7.2 and 10.0.
const std::string greeting = R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, )"
                             R"("package": "Debian 1:7.2"}, "capabilities": ["oob"]}})"
                             "\r\n";
const std::string success = "{\"return\": {}}\r\n";
const std::string negotiate = "{\"execute\":\"qmp_capabilities\"}\n";
const std::string press = "{\"execute\":\"system_powerdown\"}\n";
const std::string quit = "{\"execute\":\"quit\"}\n";

std::string event(const std::string &name)
{
    return R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": ")" + name + "\"}\r\n";
}

PowerdownDialogue pressed()
{
    PowerdownDialogue dialogue;
    dialogue.reply_to(greeting + success + success);
    return dialogue;
}

void check_refused(const std::string &text, const std::string &part, PowerdownDialogue dialogue = {})
{
    CAPTURE(text);
    const auto error = tap_error_of([&] { dialogue.reply_to(text); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(contains(error.what(), part));
}

} // namespace

TEST_CASE("power-down: after the greeting it negotiates, then presses the button, and then sends nothing more")
{
    PowerdownDialogue dialogue;
    CHECK_FALSE(dialogue.greeted());
    CHECK(dialogue.reply_to(greeting) == negotiate);
    CHECK(dialogue.greeted());
    CHECK(dialogue.reply_to(success) == press);
    CHECK(dialogue.reply_to(event("POWERDOWN")).empty());
    CHECK(dialogue.reply_to(success).empty());
    CHECK(dialogue.reply_to(event("RTC_CHANGE")).empty());
}

TEST_CASE("power-down: the button is pressed again only after QEMU has accepted the last press, any number of times")
{
    PowerdownDialogue dialogue;
    CHECK(dialogue.once_more().empty());
    dialogue.reply_to(greeting);
    CHECK(dialogue.once_more().empty());
    dialogue.reply_to(success);
    CHECK(dialogue.once_more().empty());
    dialogue.reply_to(success);
    for (int i = 0; i < 3; ++i) {
        CHECK(dialogue.once_more() == press);
        CHECK(dialogue.reply_to(event("POWERDOWN") + success).empty());
    }
}

TEST_CASE("power-down: once the guest is off it sends quit once and does not press the button again")
{
    auto dialogue = pressed();
    CHECK(dialogue.reply_to(event("SHUTDOWN")) == quit);
    CHECK(dialogue.once_more().empty());
    CHECK(dialogue.reply_to(event("SHUTDOWN")).empty());
    CHECK(dialogue.reply_to("{\"error\": {\"class\": \"GenericError\", \"desc\": \"late\"}}\n").empty());

    PowerdownDialogue before_the_answer;
    before_the_answer.reply_to(greeting + success);
    CHECK(before_the_answer.reply_to(event("SHUTDOWN")) == quit);
}

TEST_CASE("power-down: input in pieces of any size gives the same output")
{
    const auto all = greeting + success + event("POWERDOWN") + success + event("SHUTDOWN");
    for (std::size_t size = 1; size <= all.size(); ++size) {
        PowerdownDialogue dialogue;
        std::string said;
        for (std::size_t at = 0; at < all.size(); at += size)
            said += dialogue.reply_to(std::string_view{all}.substr(at, size));
        CAPTURE(size);
        REQUIRE(said == negotiate + press + quit);
    }
}

TEST_CASE("power-down: a peer without QEMU's greeting is sent nothing")
{
    for (const std::string text : {"\n", "hello\n", "{}\n", "[]\n", "\"QMP\"\n", "{\"return\": {}}\n", "{\"QMP\": {\n",
                                   "{\"event\": \"SHUTDOWN\"}\n", "null\n", "{\"QMP\": \xff}\n"})
        check_refused(text, "not QEMU's QMP");
}

TEST_CASE("power-down: an error of QEMU's to a command is reported in QEMU's words")
{
    const std::string error = R"({"error": {"class": "GenericError", "desc": "no such thing"}})"
                              "\n";
    check_refused(greeting + error, "no such thing");
    check_refused(greeting + success + error, "no such thing");
    check_refused(error, "no such thing", pressed());
    for (const std::string other : {"{\"error\": 1}\n", "{\"error\": {}}\n", "{\"error\": {\"desc\": 1}}\n"})
        check_refused(other, "QEMU refuses", pressed());
}

TEST_CASE("power-down: later lines that are not JSON objects are refused, and values of unexpected types are ignored")
{
    for (const std::string text : {"x\n", "[]\n", "1\n", "{\n"})
        check_refused(text, "not QEMU's QMP", pressed());
    CHECK(pressed().reply_to("{\"event\": 1}\n{\"event\": null}\n{}\n").empty());
}

TEST_CASE("power-down: a line has a limit, complete or not, and the number of lines has none")
{
    const std::string beginning = "{\"event\": \"";
    const std::string end = "\"}";
    const std::string longest = beginning + std::string(max_qmp_line - beginning.size() - end.size(), 'x') + end;
    auto dialogue = pressed();
    for (int i = 0; i < 3; ++i)
        CHECK(dialogue.reply_to(longest + "\n").empty());
    check_refused(longest + " \n", "longer", pressed());
    check_refused(std::string(max_qmp_line + 1, 'x'), "longer");
    check_refused(std::string(max_qmp_line + 1, '['), "longer", pressed());
    CHECK_FALSE(pressed().reply_to(event("X")).size());
}

TEST_CASE("power-down: the deepest nesting that fits into a line is refused like any other text")
{
    check_refused(std::string(max_qmp_line, '[') + "\n", "not QEMU's QMP", pressed());
    check_refused(std::string(max_qmp_line / 2, '[') + std::string(max_qmp_line / 2, ']') + "\n", "not QEMU's QMP",
                  pressed());
}
