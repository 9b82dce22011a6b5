// SPDX-License-Identifier: MIT
//
// Whether what was written to a socket is read on its other side. dbus-daemon stops reading from a connection of which
// too much is undelivered, and says nothing: then the service looks alive and answers no caller.
// A second counts if it passed without any sign of reading. Seconds, and not one time of ten: a freezer that stops both
// sides for a minute is no reason to end.

#pragma once

namespace qemutap {

class DrainWatch {
public:
    static constexpr unsigned limit_seconds = 10;

    // How many bytes are unread now, as often as there is occasion.
    void observe(int unread)
    {
        if (unread < unread_)
            quiet_seconds_ = 0;
        unread_ = unread;
    }

    // The same when a second has passed; call it as long as is_waiting().
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
