// SPDX-License-Identifier: MIT
//
// The form of a verb of qemu-tapctl. Each verb has a file of its own in this folder with its options, checks and
// action. table.cpp lists the verbs.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace qemutap {

// The words that follow a verb's options.
enum class Rest {
    own,       // names that the verb declares, or nothing
    command,   // another program's command: the first word that is no option begins it
    arguments, // another program's arguments: the first word that is no option begins them
};

// A verb whose options are read and checked.
class VerbCall {
public:
    VerbCall() = default;
    VerbCall(const VerbCall &) = delete;
    VerbCall &operator=(const VerbCall &) = delete;
    virtual ~VerbCall() = default;

    // Writes results to stdout and all other text to stderr. Returns the exit status or throws TapError.
    virtual int carry_out() const = 0;
};

// Each verb's header declares `int perform(const Options &)` for its options.
template <typename Options>
class CallWith final : public VerbCall {
public:
    explicit CallWith(Options options)
        : options_{std::move(options)}
    {}

    const Options &options() const { return options_; }
    int carry_out() const override { return perform(options_); }

private:
    Options options_;
};

// The variables that CLI11 fills while it parses the options of one verb.
class VerbOptions {
public:
    VerbOptions() = default;
    VerbOptions(const VerbOptions &) = delete;
    VerbOptions &operator=(const VerbOptions &) = delete;
    virtual ~VerbOptions() = default;

    // Checks the parsed options. `rest` is the other program's command or arguments; Rest::own has none. Throws
    // TapError invalid_argument.
    virtual std::unique_ptr<VerbCall> read(std::vector<std::string> rest) const = 0;
};

struct Verb {
    std::string_view name;
    std::string_view summary; // one line of --help
    Rest rest = Rest::own;
    std::unique_ptr<VerbOptions> (*declare)(CLI::App &app) = nullptr;
};

} // namespace qemutap
