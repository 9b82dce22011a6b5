// SPDX-License-Identifier: MIT
//
// The only translation unit that includes spdlog, because its headers cost seconds of compilation each time.

#include "daemon/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <spdlog/spdlog.h>

#include <sys/stat.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace qemutap {

namespace {

// JOURNAL_STREAM names the stream that the service manager connected to stderr (systemd.exec(5)). stderr may have been
// redirected since.
bool stderr_is_journal()
{
    const char *stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    if (!stream || ::fstat(2, &status) != 0)
        return false;
    return stream == std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

void write(spdlog::level::level_enum level, std::string_view line) noexcept
{
    try {
        spdlog::log(level, "{}", line);
    } catch (...) {
        // A failure to log must not end the process.
    }
}

} // namespace

void open_log(const std::string &level)
{
    spdlog::sink_ptr sink;
    if (stderr_is_journal())
        sink = std::make_shared<spdlog::sinks::systemd_sink_st>("qemu-tapd");
    else
        sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    const auto logger = std::make_shared<spdlog::logger>("qemu-tapd", sink);
    logger->set_pattern(stderr_is_journal() ? "%v" : "%n: %l: %v");
    logger->set_level(spdlog::level::from_str(level));
    logger->flush_on(spdlog::level::debug);
    spdlog::set_default_logger(logger);
}

void set_log_level(const std::string &level)
{
    spdlog::default_logger()->set_level(spdlog::level::from_str(level));
}

void log_debug(std::string_view line) noexcept
{
    write(spdlog::level::debug, line);
}

void log_info(std::string_view line) noexcept
{
    write(spdlog::level::info, line);
}

void log_warning(std::string_view line) noexcept
{
    write(spdlog::level::warn, line);
}

void log_error(std::string_view line) noexcept
{
    write(spdlog::level::err, line);
}

} // namespace qemutap
