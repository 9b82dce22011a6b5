// SPDX-License-Identifier: MIT
//
// What is said to QEMU on its QMP socket to have a guest power down, as QEMU's qmp-spec has it: it greets, we
// negotiate, then its words are one JSON object a line. No I/O, so that each turn of it can be tested.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// QEMU's greeting and events are some hundred bytes; who sends more without an end of line is not QEMU.
inline constexpr std::size_t max_qmp_line = 65'536;

class PowerdownDialogue {
public:
    // Takes what came from QEMU and returns what to send back, whole lines or nothing. Throws TapError failed where
    // it is not QMP, or QEMU refuses.
    std::string reply_to(std::string_view received);

    // The button pressed again, as a guest that is still booting has missed the first time; nothing as long as
    // QEMU has not taken the first.
    std::string once_more() const;

    // False: QEMU has not greeted, so it is serving another client.
    bool greeted() const { return stage_ != Stage::greeting; }

private:
    enum class Stage { greeting, negotiating, pressing, pressed, off };

    std::string reply_to_line(std::string_view line);

    Stage stage_ = Stage::greeting;
    std::string unfinished_;
};

} // namespace qemutap
