// SPDX-License-Identifier: MIT
//
// The marks that Yocto's runqemu heeds (openembedded-core, scripts/runqemu): of all links named tap and a number it
// takes the first that it can lock, unless there is a file NAME.skip in its lock directory. That directory is in /tmp
// and everybody's, so whatever is found in it may be meant to harm: no link is followed, nothing of others is
// written to or removed, no mount of theirs is entered, nothing is waited for, and what can't be done is told once and
// costs no lease.

#pragma once

#include "common/unique_fd.hpp"
#include "daemon/core/ports.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <string>

namespace qemutap {

class SkipFiles : public NameMarks {
public:
    // `warn` gets each problem once, as a line for people; it must not throw. `service` is the uid that the service
    // makes files as; those that it made as root, before it had a user, are its own too.
    // `seen_at` is where this process sees the directory, if its view of the host has it elsewhere; the lines name it
    // as people know it.
    SkipFiles(std::string directory, std::function<void(const std::string &)> warn, uid_t service = ::geteuid(),
              const std::string &seen_at = {});

    // For a process that is root and gives that up: makes the directory, as everybody's, and removes the service's
    // files of root's, which it could not remove later. The next mark_only() makes those that are missing.
    void hand_over() noexcept;

    // Makes the directory if it is missing, as everybody's. A name that runqemu would not take gets no mark.
    void mark(const std::string &name) noexcept override;
    void unmark(const std::string &name) noexcept override;
    void mark_only(const std::set<std::string> &names) noexcept override;

    // Takes the directory away if it is root's or the service's and nobody has anything in it.
    void remove_directory();

private:
    bool is_own(uid_t uid) const { return uid == 0 || uid == service_; }
    bool is_ours(int directory, const std::string &file) const;
    UniqueFd open_directory(bool make_it);
    bool is_usable(int directory);
    std::string why_not_opened(int error) const;
    void make(int directory, const std::string &name);
    void remove(int directory, const std::string &file);
    void remove_all_but(int directory, const std::set<std::string> &names);
    void warn_once(const std::string &problem);

    std::string path_;
    std::string shown_; // to people
    std::string parent_;
    std::string name_; // in the parent
    std::function<void(const std::string &)> warn_;
    uid_t service_;
    std::set<std::string> told_;
};

} // namespace qemutap
