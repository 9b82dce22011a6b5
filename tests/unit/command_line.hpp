// SPDX-License-Identifier: MIT
//
// A program's command line as main() gets it, and what the program prints to stdout meanwhile.

#pragma once

#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace qemutap {

class CommandLine {
public:
    CommandLine(std::string program, std::vector<std::string> words) : words_{std::move(words)}
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

class CapturedStdout {
public:
    CapturedStdout() : before_{std::cout.rdbuf(text_.rdbuf())} {}
    CapturedStdout(const CapturedStdout &) = delete;
    CapturedStdout &operator=(const CapturedStdout &) = delete;
    ~CapturedStdout() { std::cout.rdbuf(before_); }

    std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    std::streambuf *before_;
};

} // namespace qemutap
