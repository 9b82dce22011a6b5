// SPDX-License-Identifier: MIT
//
// The client's side of the QMP dialogue that powers a guest down (QEMU's qmp-spec). QEMU sends a greeting, the client
// negotiates capabilities, and after that each line is one JSON object. This class does no I/O, so that tests can check
// each step.

#pragma once

#include <string>
#include <string_view>

namespace qemutap {

// Bytes. QEMU's greeting and events have some hundred; a peer that sends more without an end of line is not QEMU.
inline constexpr std::size_t max_qmp_line = 65'536;

class PowerdownDialogue {
public:
    // Takes the bytes that came from QEMU and returns the answer, which is whole lines or nothing. Throws TapError
    // failed if the bytes are not QMP, or if QEMU reports an error.
    std::string reply_to(std::string_view received);

    // The command that presses the button again: a guest that is still booting missed the first press. Empty while QEMU
    // has not confirmed the first press.
    std::string once_more() const;

    // False: QEMU has sent no greeting, so it is serving another client.
    bool greeted() const { return stage_ != Stage::greeting; }

private:
    enum class Stage { greeting, negotiating, pressing, pressed, off };

    std::string reply_to_line(std::string_view line);

    Stage stage_ = Stage::greeting;
    std::string unfinished_;
};

} // namespace qemutap
