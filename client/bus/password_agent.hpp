// SPDX-License-Identifier: MIT
//
// polkit asks for a password where an agent is registered for the asking process. A desktop has one; on a bare
// terminal the client brings polkit's own text agent, pkttyagent(1), for as long as one call takes.

#pragma once

namespace qemutap {

// Root is never asked, and where there is no terminal there is nobody to type a password.
bool somebody_to_ask();

// One at a time: signals that would end this process end the agent first, and the terminal echoes again.
class PasswordAgent {
public:
    // Returns when the agent is registered, or can't be: polkit then has nobody to ask but the desktop's agent,
    // which also stays in charge where there is one.
    PasswordAgent();
    PasswordAgent(const PasswordAgent &) = delete;
    PasswordAgent &operator=(const PasswordAgent &) = delete;
    // The agent is gone when this returns.
    ~PasswordAgent();
};

} // namespace qemutap
