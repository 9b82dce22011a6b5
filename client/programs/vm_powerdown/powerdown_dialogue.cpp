// SPDX-License-Identifier: MIT
//
// QEMU sends events at any time, also between a command and its answer. Only the events that matter here are read.

#include "client/programs/vm_powerdown/powerdown_dialogue.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"

#include <nlohmann/json.hpp>

namespace qemutap {

namespace {

using nlohmann::json;

std::string order(const char *name)
{
    return json{{"execute", name}}.dump() + "\n";
}

[[noreturn]] void refuse(const std::string &what, std::string_view line)
{
    throw TapError{ErrorCode::failed, what + ": " + quote(line)};
}

json parsed(std::string_view line)
{
    auto message = json::parse(line, nullptr, false);
    if (!message.is_object())
        refuse("this is not QEMU's QMP", line);
    return message;
}

// Throws with the reason from `desc`, the field in which QEMU explains an error.
[[noreturn]] void refuse_error(const json &error, std::string_view line)
{
    const auto text = error.is_object() ? error.find("desc") : error.end();
    if (text == error.end() || !text->is_string())
        refuse("QEMU refuses", line);
    refuse("QEMU refuses", text->get_ref<const std::string &>());
}

bool is_event(const json &message, const char *name)
{
    const auto event = message.find("event");
    return event != message.end() && event->is_string() && event->get_ref<const std::string &>() == name;
}

} // namespace

std::string PowerdownDialogue::reply_to(std::string_view received)
{
    std::string replies;
    for (auto end = received.find('\n'); end != std::string_view::npos; end = received.find('\n')) {
        unfinished_.append(received.substr(0, end));
        received.remove_prefix(end + 1);
        if (unfinished_.size() > max_qmp_line)
            refuse("a line longer than QMP has", unfinished_);
        replies += reply_to_line(unfinished_);
        unfinished_.clear();
    }
    unfinished_.append(received);
    if (unfinished_.size() > max_qmp_line)
        refuse("a line longer than QMP has", unfinished_);
    return replies;
}

std::string PowerdownDialogue::reply_to_line(std::string_view line)
{
    const auto message = parsed(line);
    if (stage_ == Stage::greeting) {
        if (!message.contains("QMP"))
            refuse("this is not QEMU's QMP", line);
        stage_ = Stage::negotiating;
        return order("qmp_capabilities");
    }
    // The guest is off. QEMU usually ends then; after -no-shutdown it has to be asked.
    if (is_event(message, "SHUTDOWN") && stage_ != Stage::negotiating && stage_ != Stage::off) {
        stage_ = Stage::off;
        return order("quit");
    }
    if (message.contains("error") && stage_ != Stage::off)
        refuse_error(message["error"], line);
    if (!message.contains("return"))
        return {};
    if (stage_ == Stage::negotiating) {
        stage_ = Stage::pressing;
        return order("system_powerdown");
    }
    if (stage_ == Stage::pressing)
        stage_ = Stage::pressed;
    return {};
}

std::string PowerdownDialogue::once_more() const
{
    return stage_ == Stage::pressed ? order("system_powerdown") : std::string{};
}

} // namespace qemutap
