// SPDX-License-Identifier: MIT
//
// Loaded before the C library's own functions (LD_PRELOAD), so that a program's wall clock can be set while it runs
// without that of the machine. Only the wall clock is touched. Debian's libfaketime does it too, but moves a timer's
// absolute monotonic time along with the wall clock (timerfd_settime: EINVAL), which no clock setting does.
//
// SHIFTED_CLOCK names a file of four 64-bit numbers, shared with the test: by how many seconds to shift, written by
// the test, and how often a time was given that was right, ahead and behind, written here.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace {

struct Shared {
    std::atomic<std::int64_t> shift, right, ahead, behind;
};

Shared *shared()
{
    static Shared *const mapped = [] {
        const char *path = std::getenv("SHIFTED_CLOCK");
        const int fd = path ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
        if (fd < 0)
            std::abort(); // a test without what it tests must not succeed
        void *const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (memory == MAP_FAILED)
            std::abort();
        ::close(fd);
        return static_cast<Shared *>(memory);
    }();
    return mapped;
}

int shifted(clockid_t clock, timespec *time)
{
    const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE && clock != CLOCK_TAI))
        return result;
    const std::int64_t shift = shared()->shift;
    ++(shift == 0 ? shared()->right : shift > 0 ? shared()->ahead : shared()->behind);
    time->tv_sec += static_cast<time_t>(shift);
    return result;
}

} // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec *time) noexcept
{
    return shifted(clock, time);
}

int gettimeofday(timeval *time, void *) noexcept
{
    timespec now{};
    const int result = shifted(CLOCK_REALTIME, &now);
    *time = {now.tv_sec, static_cast<suseconds_t>(now.tv_nsec / 1000)};
    return result;
}

time_t time(time_t *seconds) noexcept
{
    timespec now{};
    shifted(CLOCK_REALTIME, &now);
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

} // extern "C"
