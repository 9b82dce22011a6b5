// SPDX-License-Identifier: MIT
//
// A file descriptor that its destructor closes. Every open descriptor of a tap keeps the tap: the kernel deletes a tap
// that is not persistent with its last descriptor. So no code holds a descriptor as a bare int.

#pragma once

#include <unistd.h>

#include <utility>

namespace qemutap {

class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) noexcept
        : fd_{fd}
    {}
    UniqueFd(UniqueFd &&other) noexcept
        : fd_{other.release()}
    {}
    UniqueFd &operator=(UniqueFd &&other) noexcept
    {
        UniqueFd{std::move(other)}.swap(*this);
        return *this;
    }
    UniqueFd(const UniqueFd &) = delete;
    UniqueFd &operator=(const UniqueFd &) = delete;
    ~UniqueFd()
    {
        if (fd_ >= 0)
            ::close(fd_);
    }

    int get() const noexcept { return fd_; }
    explicit operator bool() const noexcept { return fd_ >= 0; }

    // Gives the descriptor to the caller, which must close it.
    int release() noexcept { return std::exchange(fd_, -1); }

    void swap(UniqueFd &other) noexcept { std::swap(fd_, other.fd_); }

private:
    int fd_ = -1;
};

} // namespace qemutap
