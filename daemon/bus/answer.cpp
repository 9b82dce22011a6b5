// SPDX-License-Identifier: MIT
//
// The daemon's one translator of exceptions. It catches everything: an exception that leaves a handler
// unwinds through libsystemd's C frames.

#include "daemon/bus/answer.hpp"

#include "common/error.hpp"
#include "daemon/log.hpp"

#include <exception>
#include <string>
#include <system_error>

namespace qemutap {

namespace {

sdbus::Error bus_error(ErrorCode code, const std::string &text)
{
    return sdbus::Error{BusErrorName{bus_error_name(code)}, text};
}

} // namespace

sdbus::Error to_bus_error(const std::exception_ptr &problem)
{
    try {
        std::rethrow_exception(problem);
    } catch (const TapError &error) {
        log_debug(std::string{"refused: "} + error.what());
        return bus_error(error.code(), error.what());
    } catch (const std::system_error &error) {
        log_warning(std::string{"the kernel refused: "} + error.what());
        return bus_error(ErrorCode::host_refused, error.what());
    } catch (const std::exception &error) {
        log_error(std::string{"a request failed: "} + error.what());
        return bus_error(ErrorCode::failed, error.what());
    } catch (...) {
        log_error("a request failed for an unknown reason");
        return bus_error(ErrorCode::failed, "unknown reason");
    }
}

void note_unanswered(const std::exception_ptr &problem)
{
    try {
        std::rethrow_exception(problem);
    } catch (const std::exception &error) {
        log_warning(std::string{"a caller could not be answered: "} + error.what());
    } catch (...) {
        log_warning("a caller could not be answered");
    }
}

} // namespace qemutap
