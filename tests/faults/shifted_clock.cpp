// SPDX-License-Identifier: MIT
//
// A library for LD_PRELOAD that shifts a running program's wall clock and leaves the machine's clock alone. It changes
// only the wall clock. Debian's libfaketime shifts it too, but it moves a timer's absolute monotonic time along with
// the wall clock (timerfd_settime fails with EINVAL), which no real change of the clock does.
//
// SHIFTED_CLOCK names a file of four 64-bit numbers that the test maps too. The test writes the first one, the seconds
// to shift by. This library writes the others: how often it returned a time that was right, ahead, and behind.

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
            std::abort(); // without the file the test would pass and prove nothing
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
