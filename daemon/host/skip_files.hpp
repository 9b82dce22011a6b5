// SPDX-License-Identifier: MIT
//
// The marks that Yocto's runqemu obeys (openembedded-core, scripts/runqemu). runqemu takes the first link named tap and
// a number that it can lock, unless its lock directory has a file NAME.skip. This directory is in /tmp and all users
// can write to it, so everything in it may be an attack. The code follows no symbolic link, writes to and removes no
// file of others, enters no mount of others, and never waits. It reports each failure once, and a failure costs no
// lease.

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
    // `warn` receives each problem once, as a line for people, and must not throw. `service` is the uid with which the
    // service creates files. Files that the service created as root, before it had a user, belong to it too. `seen_at`
    // is the path at which this process sees the directory, if that differs from `directory`. The lines for people
    // contain `directory`.
    SkipFiles(std::string directory, std::function<void(const std::string &)> warn, uid_t service = ::geteuid(),
              const std::string &seen_at = {});

    // For a process that is root and will give up root. Creates the directory, writable for all users, and removes the
    // service's files that root owns: the process could not remove them later. The next mark_only() creates the missing
    // files.
    void hand_over() noexcept;

    // Creates the directory, writable for all users, if it is missing. A name that runqemu would not take gets no mark.
    void mark(const std::string &name) noexcept override;
    void unmark(const std::string &name) noexcept override;
    void mark_only(const std::set<std::string> &names) noexcept override;

    // Removes the directory if root or the service owns it and it is empty.
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
    std::string shown_; // the path in lines for people
    std::string parent_;
    std::string name_; // in the parent
    std::function<void(const std::string &)> warn_;
    uid_t service_;
    std::set<std::string> told_;
};

} // namespace qemutap
