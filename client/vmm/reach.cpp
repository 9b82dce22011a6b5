// SPDX-License-Identifier: MIT
//
// A table of the programs that take a script as a word, and a check of the words that a script passes on (sh(1),
// "Special Parameters").

#include "client/vmm/reach.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

namespace qemutap {

namespace {

enum class Kind {
    shell,   // options precede the script; the words after the script are its $0, $1, ...
    login,   // starts a shell; the program's other arguments precede the options
    command, // no words may follow the script
};

struct TextProgram {
    std::string_view name;
    Kind kind;
};

// Each program takes its script after -c.
constexpr std::array<TextProgram, 13> programs{{
    {"sh", Kind::shell},
    {"bash", Kind::shell},
    {"dash", Kind::shell},
    {"ash", Kind::shell},
    {"zsh", Kind::shell},
    {"ksh", Kind::shell},
    {"mksh", Kind::shell},
    {"fish", Kind::shell},
    {"su", Kind::login},
    {"runuser", Kind::login},
    {"flock", Kind::command},
    {"script", Kind::command},
    {"sg", Kind::command},
}};

const TextProgram *program_of(std::string_view word)
{
    const auto slash = word.find_last_of('/');
    word.remove_prefix(slash == std::string_view::npos ? 0 : slash + 1);
    const auto found = std::find_if(programs.begin(), programs.end(),
                                    [&](const TextProgram &program) { return program.name == word; });
    return found == programs.end() ? nullptr : &*found;
}

bool is_option(std::string_view word)
{
    return word.size() > 1 && (word.front() == '-' || word.front() == '+');
}

// True if the word is one dash with single letters, `letter` among them.
bool has_letter(std::string_view word, char letter)
{
    return word.size() > 1 && word.front() == '-' && word[1] != '-' && word.find(letter) != std::string_view::npos;
}

// True for a shell's option that takes a value, such as -o pipefail, -eo pipefail and +o posix.
bool takes_value(std::string_view word)
{
    return word == "--rcfile" || word == "--init-file" ||
           (word[1] != '-' && (word.back() == 'o' || word.back() == 'O'));
}

using Words = std::vector<std::string>;

// The position after all options of a shell, if one of them has -c, such as -lc.
std::optional<std::size_t> script_of_shell(const Words &command, std::size_t next)
{
    bool announced = false;
    while (next < command.size() && is_option(command[next])) {
        announced = announced || has_letter(command[next], 'c');
        next += takes_value(command[next]) ? 2 : 1;
    }
    return announced && next < command.size() ? std::optional{next} : std::nullopt;
}

std::optional<std::size_t> script_of_command(const Words &command, std::size_t next)
{
    for (; next + 1 < command.size(); ++next)
        if (command[next] == "-c" || command[next] == "--command" || command[next] == "-qc")
            return next + 1;
    return std::nullopt;
}

struct Script {
    std::size_t position;
    const TextProgram &program;
};

std::optional<Script> script_in(const Words &command)
{
    for (std::size_t i = 0; i < command.size(); ++i) {
        const auto *program = program_of(command[i]);
        if (!program)
            continue;
        const auto position =
            program->kind == Kind::shell ? script_of_shell(command, i + 1) : script_of_command(command, i + 1);
        if (position)
            return Script{*position, *program};
    }
    return std::nullopt;
}

bool mentions_any(std::string_view text, std::initializer_list<std::string_view> parameters)
{
    return std::any_of(parameters.begin(), parameters.end(),
                       [&](std::string_view parameter) { return text.find(parameter) != std::string_view::npos; });
}

bool passes_on(std::string_view script, bool has_name)
{
    // The first word after the script is $0; only the later words are $1, $2, ...
    const bool all = mentions_any(script, {"$@", "$*", "${@", "${*", "$1", "${1", "$argv"});
    return all && (has_name || mentions_any(script, {"$0", "${0", "$argv"}));
}

} // namespace

bool has_script_word(const std::vector<std::string> &command)
{
    return script_in(command).has_value();
}

std::optional<ReachProblem> reach_problem(const std::vector<std::string> &command, const CommandFacts &facts)
{
    const auto script = facts.machine.architecture.empty() ? script_in(command) : std::nullopt;
    if (!script)
        return std::nullopt;
    const auto &text = command[script->position];
    const bool has_name = script->position + 1 < command.size();
    if (script->program.kind != Kind::command && passes_on(text, has_name))
        return std::nullopt;
    const bool names_qemu = mentions_any(text, {"qemu-system-", "qemu-kvm"});
    const std::string where =
        "the words for QEMU would stand behind the script of " + std::string{script->program.name} + " -c";
    const std::string by_name = "write {fds0}, {mac0} and {cmdline} in it where they belong";
    if (script->program.kind == Kind::command)
        return ReachProblem{where + " and reach no QEMU; " + by_name, names_qemu};
    const auto problem = where +
                         " as its $0, $1, ... and reach no QEMU; let it end in \"$@\" and put a name behind it " +
                         "(sh -c 'cd D && exec qemu-system-x86_64 ... \"$@\"' sh), or " + by_name;
    return ReachProblem{problem, names_qemu};
}

} // namespace qemutap
