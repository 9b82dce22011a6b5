// SPDX-License-Identifier: MIT
//
// A program's command line in the form of main()'s arguments, and capture of the text that the program prints.

#pragma once

#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace qemutap {

class CommandLine {
public:
    CommandLine(std::string program, std::vector<std::string> words)
        : words_{std::move(words)}
    {
        words_.insert(words_.begin(), std::move(program));
        for (const auto &word : words_)
            pointers_.push_back(word.c_str());
        pointers_.push_back(nullptr);
    }
    CommandLine(const CommandLine &) = delete;
    CommandLine &operator=(const CommandLine &) = delete;

    int argc() const { return static_cast<int>(words_.size()); }
    const char *const *argv() const { return pointers_.data(); }

private:
    std::vector<std::string> words_;
    std::vector<const char *> pointers_;
};

template <typename Result>
struct Captured {
    Result result;
    std::string text;
};

// Returns the result of `call` and the text that it writes to std::cout. `call` must make no assertion: the reporters
// of Catch2 v3 replace the buffer of std::cout around each assertion.
template <typename Call>
auto captured(Call call)
{
    std::ostringstream text;
    auto *before = std::cout.rdbuf(text.rdbuf());
    auto result = call();
    std::cout.rdbuf(before);
    return Captured<decltype(result)>{std::move(result), text.str()};
}

} // namespace qemutap
