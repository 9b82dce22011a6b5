// SPDX-License-Identifier: MIT
//
// The answer owed to a caller. It is given exactly once: with results, with an error, or, when whoever held
// it let it go, with an error that says so; a caller is never left waiting.

#pragma once

#include "common/error.hpp"
#include "common/sdbus_compat.hpp"

#include <exception>
#include <optional>
#include <utility>

namespace qemutap {

// The one line where what went wrong becomes a bus error; also logs what no caller can mend.
sdbus::Error to_bus_error(const std::exception_ptr &problem);

// Logs that a caller could not be answered: its connection is gone, or ours.
void note_unanswered(const std::exception_ptr &problem);

template <typename... Results>
class Answer {
public:
    explicit Answer(sdbus::Result<Results...> &&result)
        : result_{std::move(result)}
    {}
    Answer(const Answer &) = delete;
    Answer &operator=(const Answer &) = delete;
    ~Answer()
    {
        if (result_)
            fail(std::make_exception_ptr(TapError{ErrorCode::failed, "qemu-tapd is ending"}));
    }

    // Throws sdbus::Error if the bus does not take it; the caller is then told that, if anything can be.
    void give(const Results &...results)
    {
        result_->returnResults(results...);
        result_.reset();
    }

    void fail(const std::exception_ptr &problem) noexcept
    {
        if (!result_)
            return;
        try {
            const auto result = std::exchange(result_, std::nullopt);
            result->returnError(to_bus_error(problem));
        } catch (...) {
            note_unanswered(std::current_exception());
        }
    }

    // Whatever `work` throws is this answer.
    template <typename Work>
    void unless_it_throws(Work work) noexcept
    {
        try {
            work();
        } catch (...) {
            fail(std::current_exception());
        }
    }

private:
    std::optional<sdbus::Result<Results...>> result_;
};

} // namespace qemutap
