// SPDX-License-Identifier: MIT
//
// polkit asks for a password through an agent that is registered for the calling process. A desktop has an agent. On a
// bare terminal the client starts polkit's own text agent, pkttyagent(1), for as long as one call takes.

#pragma once

namespace qemutap {

// True if polkit can ask for a password at this terminal. polkit never asks root, and without a terminal no password
// can be typed.
bool somebody_to_ask();

// Runs the text agent for as long as the object exists. Only one object may exist at a time. A signal that would end
// this process ends the agent first and restores the terminal's echo.
class PasswordAgent {
public:
    // Starts the agent and waits until polkit accepts it, until it ends, or for 20 s at most. Starts no agent if this
    // process is in the terminal's background. Without an agent polkit can ask only a desktop's agent. A desktop's
    // agent keeps precedence over this one.
    PasswordAgent();
    PasswordAgent(const PasswordAgent &) = delete;
    PasswordAgent &operator=(const PasswordAgent &) = delete;
    // Ends the agent and waits for its end. An agent that ignores SIGTERM for 1 s gets SIGKILL.
    ~PasswordAgent();
};

} // namespace qemutap
