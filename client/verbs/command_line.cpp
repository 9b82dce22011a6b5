// SPDX-License-Identifier: MIT
//
// Reads the options with CLI11. Finds the place where another program's command begins, as env(1), sudo(8) and
// systemd-run(1) do. Names the one word that is wrong: CLI11 would name every word that it did not parse.

#include "client/verbs/command_line.hpp"

#include "client/verbs/did_you_mean.hpp"
#include "client/verbs/table.hpp"
#include "common/error.hpp"
#include "common/quote.hpp"
#include "config.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <iterator>

namespace qemutap {

namespace {

using Words = std::vector<std::string>;

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

// The exit statuses and their meanings, in lines of at most 100 columns.
std::string exit_statuses()
{
    constexpr std::size_t columns = 100;
    std::string text = "Exit statuses:";
    std::size_t line = text.size();
    const auto add = [&](int status, const std::string &meaning, bool is_last) {
        const auto entry = std::to_string(status) + " " + meaning + (is_last ? "." : ";");
        const bool is_full = line + 1 + entry.size() > columns;
        text += (is_full ? "\n" : " ") + entry;
        line = is_full ? entry.size() : line + 1 + entry.size();
    };
    add(0, "success", false);
    for (const auto &[status, meaning] : exit_status_meanings())
        add(status, meaning, false);
    add(exit_status_not_executable, "the command of run or runqemu can't be executed", false);
    add(exit_status_not_found, "the command of run or runqemu is not found", true);
    return text + "\nOnce run or runqemu has started its command, the status is the command's own.";
}

// All verbs as CLI11 sees them, and the variables that CLI11 fills.
struct Parser {
    CLI::App app{"Gets TAP network devices for QEMU from qemu-tapd, without privileges."};
    std::vector<std::unique_ptr<VerbOptions>> options;

    Parser()
    {
        app.name("qemu-tapctl");
        app.set_version_flag("--version", std::string{"qemu-tapctl "} + QEMU_TAPCTL_VERSION);
        app.require_subcommand(1);
        app.footer(exit_statuses());
        for (const auto *verb : all_verbs())
            options.push_back(verb->declare(*app.add_subcommand(std::string{verb->name}, std::string{verb->summary})));
    }
};

Words names_of_verbs()
{
    Words names;
    std::ranges::transform(all_verbs(), std::back_inserter(names),
                           [](const Verb *verb) { return std::string{verb->name}; });
    return names;
}

std::string listed(const Words &words)
{
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
    return text;
}

// The position of the verb in the table.
std::size_t position_of(std::string_view name)
{
    const auto verbs = all_verbs();
    const auto found = std::ranges::find_if(verbs, [&](const Verb *verb) { return verb->name == name; });
    if (found != verbs.end())
        return static_cast<std::size_t>(found - verbs.begin());
    const auto names = names_of_verbs();
    const auto hint = did_you_mean(name, names);
    refuse("there is no " + quote(name) + (hint.empty() ? "; there are " + listed(names) : hint));
}

bool is_option(std::string_view word)
{
    return word.size() > 1 && word.front() == '-';
}

Words options_of(const CLI::App &app)
{
    Words names;
    for (const auto *option : app.get_options())
        for (const auto &name : option->get_lnames())
            names.push_back("--" + name);
    return names;
}

std::size_t most_names(const CLI::App &app)
{
    std::size_t most = 0;
    for (const auto *option : app.get_options())
        if (option->get_positional())
            most += static_cast<std::size_t>(option->get_items_expected_max());
    return most;
}

// Finds the option that `word` names. `of` is the verb, or empty for options before a verb. Throws TapError
// invalid_argument with a hint if there is no such option.
const CLI::Option &option_named(const CLI::App &app, const std::string &of, Rest rest, const std::string &word)
{
    const auto name = word.substr(0, word.find('='));
    if (const auto *option = app.get_option_no_throw(name))
        return *option;
    const auto hint = did_you_mean(name, options_of(app));
    const std::string remedy = rest == Rest::arguments
                                   ? "; write -- before arguments of the other program"
                                   : " (see qemu-tapctl " + of + (of.empty() ? "" : " ") + "--help)";
    refuse("there is no option " + quote(name) + (of.empty() ? "" : " of " + of) + (hint.empty() ? remedy : hint));
}

struct Split {
    Words own;
    Words rest;
};

// Finds the first word after `words[0]`, the verb, that is neither an option nor the value of one.
Split split(const CLI::App &app, const Verb &verb, Words words)
{
    std::size_t names = 0;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto &word = words[i];
        if (word == "--" && verb.rest == Rest::own)
            return {.own = std::move(words), .rest = {}};
        if (!is_option(word) || word == "--") {
            if (verb.rest == Rest::own) {
                if (++names > most_names(app))
                    refuse(words[0] + " takes no further word " + quote(word) + " (see qemu-tapctl " + words[0] +
                           " --help)");
                continue;
            }
            const auto begin = words.begin() + static_cast<std::ptrdiff_t>(i);
            Words rest(word == "--" ? begin + 1 : begin, words.end());
            words.erase(begin, words.end());
            return {.own = std::move(words), .rest = std::move(rest)};
        }
        const auto &option = option_named(app, words[0], verb.rest, word);
        const bool takes_next = option.get_items_expected_max() > 0 && word.find('=') == std::string::npos;
        if (!takes_next)
            continue;
        if (++i == words.size() || is_option(words[i]))
            refuse(option.get_name() + " needs a value; write " + option.get_name() +
                   "=VALUE if the value begins with a hyphen");
    }
    return {.own = std::move(words), .rest = {}};
}

// Parses the words. Returns false if CLI11 printed a text that the words ask for.
bool parse(CLI::App &app, Words words)
{
    try {
        std::reverse(words.begin(), words.end()); // CLI11 reads from the back
        app.parse(std::move(words));
        return true;
    } catch (const CLI::Success &success) {
        app.exit(success, std::cout, std::cerr);
        return false;
    } catch (const CLI::ParseError &error) {
        refuse(one_line(error.what()) + " (see qemu-tapctl --help)");
    }
}

} // namespace

std::unique_ptr<VerbCall> parse_command_line(int argc, const char *const *argv)
{
    Words words(argv + 1, argv + argc);
    Parser parser;
    if (words.empty()) {
        std::cout << parser.app.help() << std::flush;
        refuse("a command is missing");
    }
    if (is_option(words.front())) {
        option_named(parser.app, "", Rest::own, words.front());
        parse(parser.app, std::move(words));
        return nullptr;
    }
    const auto position = position_of(words.front());
    const auto &verb = *all_verbs()[position];
    const auto &declared = *parser.app.get_subcommand(words.front());
    auto [own, rest] = split(declared, verb, std::move(words));
    if (!parse(parser.app, std::move(own)))
        return nullptr;
    return parser.options[position]->read(std::move(rest));
}

std::string help_text(std::string_view verb)
{
    const Parser parser;
    if (verb.empty())
        return parser.app.help();
    position_of(verb);
    return parser.app.get_subcommand(std::string{verb})->help("qemu-tapctl");
}

} // namespace qemutap
