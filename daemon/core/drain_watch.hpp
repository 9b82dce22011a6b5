// SPDX-License-Identifier: MIT
//
// Detects that the peer of a socket no longer reads. dbus-daemon stops reading from a connection when too much output
// of that connection is undelivered, and it reports nothing. The service then looks alive, but it answers no caller.
//
// The watch counts the seconds in which it saw no sign of reading. It does not measure one span of ten seconds: a
// freezer may stop both processes for a minute, and that is no reason to end.

#pragma once

namespace qemutap {

class DrainWatch {
public:
    static constexpr unsigned limit_seconds = 10;

    // Records how many bytes are unread now. Call it at every occasion.
    void observe(int unread)
    {
        if (unread < unread_)
            quiet_seconds_ = 0;
        unread_ = unread;
    }

    // Records how many bytes are unread after one second has passed. Call it once a second while is_waiting() is true.
    void tick(int unread)
    {
        const bool quiet = unread_ > 0 && unread >= unread_;
        observe(unread);
        if (quiet)
            ++quiet_seconds_;
    }

    bool is_waiting() const { return unread_ > 0; }
    bool is_stuck() const { return quiet_seconds_ >= limit_seconds; }

private:
    int unread_ = 0;
    unsigned quiet_seconds_ = 0;
};

} // namespace qemutap
