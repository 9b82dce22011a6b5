// SPDX-License-Identifier: MIT
//
// The option table, by CLI11, which reads `key = value` files into it too.

#include "daemon/options.hpp"

#include "common/error.hpp"
#include "common/ipv4.hpp"
#include "common/label.hpp"
#include "common/number.hpp"
#include "common/number_option.hpp"
#include "common/quote.hpp"
#include "common/unique_fd.hpp"
#include "config.h"

#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace qemutap {

namespace {

Ipv4Prefix require_prefix(const std::string &option, const std::string &text)
{
    const auto prefix = Ipv4Prefix::parse(text);
    if (!prefix)
        throw TapError{ErrorCode::invalid_argument,
                       option + " " + quote(text) + " is no IPv4 prefix such as 192.168.0.0/16"};
    return *prefix;
}

void require_absolute(const char *option, const std::string &path)
{
    if (!path.starts_with('/'))
        throw TapError{ErrorCode::invalid_argument,
                       std::string{option} + " " + quote(path) + " is no path that begins with /"};
}

template <typename Setting>
std::vector<std::string> texts_of(const std::vector<Setting> &settings)
{
    std::vector<std::string> texts;
    texts.reserve(settings.size());
    for (const auto &setting : settings)
        texts.push_back(setting.text());
    return texts;
}

// CLI11 passes over a default file that it can't read as if it were not there.
void require_absent_or_readable(const std::string &path)
{
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat status {};
    const bool regular = file && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
    if (regular || (!file && errno == ENOENT))
        return;
    std::string reason = file ? "it is no regular file" : std::strerror(errno);
    if (!file && errno == EACCES)
        reason += "; make it readable for the user that the service runs as (chmod 644)";
    throw TapError{ErrorCode::invalid_argument, "can't read the configuration file " + path + ": " + reason};
}

constexpr std::size_t words_of_reservation = 3;
constexpr std::string_view reservation_rule = "reserve is a user or uid, a label and an index, such as alice web 42";

// A name in passwd(5) has no other characters, and what looks names up is not given any.
bool may_be_user_name(std::string_view text)
{
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != ':'; });
}

// A number is a uid, whether the host knows it or not.
uid_t require_user(const std::string &text)
{
    if (const auto uid = parse_number<uid_t>(text); uid && *uid != static_cast<uid_t>(-1))
        return *uid;
    const auto *entry = may_be_user_name(text) ? ::getpwnam(text.c_str()) : nullptr;
    if (!entry)
        throw TapError{ErrorCode::invalid_argument, "there is no user " + quote(text)};
    return entry->pw_uid;
}

Reservation require_reservation(const std::string &user, const std::string &label, const std::string &index)
{
    const auto where = "reserve " + quote(user + " " + label + " " + index) + ": ";
    try {
        const auto number = parse_number<unsigned>(index);
        if (!number)
            throw TapError{ErrorCode::invalid_argument, "index " + quote(index) + " is no whole number"};
        if (!is_label(label))
            throw TapError{ErrorCode::invalid_argument, quote(label) + ": " + std::string{label_rule}};
        return {.user = user, .uid = require_user(user), .label = label, .index = *number};
    } catch (const TapError &error) {
        throw TapError{ErrorCode::invalid_argument, where + error.what()};
    }
}

std::vector<Reservation> reservations_of(const std::vector<std::string> &words)
{
    std::vector<Reservation> reservations;
    if (words.size() % words_of_reservation != 0)
        throw TapError{ErrorCode::invalid_argument, std::string{reservation_rule}};
    for (std::size_t i = 0; i < words.size(); i += words_of_reservation)
        reservations.push_back(require_reservation(words[i], words[i + 1], words[i + 2]));
    return reservations;
}

constexpr std::string_view white_space = " \t\r\v\f";

std::vector<std::string> words_of(std::string_view text)
{
    std::vector<std::string> words;
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
        if (text.empty())
            return words;
        words.emplace_back(text.substr(0, text.find_first_of(white_space)));
        text.remove_prefix(words.back().size());
    }
}

// Small letters, digits and dashes, beginning with a letter: CLI11 has meanings of its own for other keys.
bool is_key(std::string_view text)
{
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string_view::npos &&
           !text.empty() && text.front() >= 'a';
}

// The lines of a file as qemu-tapd.conf(5) has them, and no others. CLI11's own reader knows sections, arrays and
// quotes that the page does not, passes over what it does not understand, and reads beyond the end of an empty name.
class LineConfig : public CLI::ConfigBase {
public:
    std::vector<CLI::ConfigItem> from_config(std::istream &input) const override
    {
        std::vector<CLI::ConfigItem> items;
        for (std::string line; std::getline(input, line);) {
            const std::string_view text = line;
            const auto begin = text.find_first_not_of(white_space);
            if (begin == std::string_view::npos || text[begin] == '#' || text[begin] == ';')
                continue;
            const auto equals = std::min(text.find('='), text.size());
            const auto key = words_of(text.substr(0, equals));
            if (equals == text.size() || key.size() != 1 || !is_key(key.front()))
                throw CLI::ConfigError{"line " + quote(text) + " is no `key = value`"};
            auto values = words_of(text.substr(equals + 1));
            if (key.front() == "reserve" && values.size() != words_of_reservation)
                throw CLI::ConfigError{"line " + quote(text) + ": " + std::string{reservation_rule}};
            if (values.empty())
                values.emplace_back();
            add(items, key.front(), values);
        }
        return items;
    }

private:
    static void add(std::vector<CLI::ConfigItem> &items, const std::string &key, const std::vector<std::string> &values)
    {
        auto item = std::find_if(items.begin(), items.end(), [&](const auto &other) { return other.name == key; });
        if (item == items.end())
            item = items.insert(items.end(), {{}, key, {}});
        item->inputs.insert(item->inputs.end(), values.begin(), values.end());
    }
};

std::string joined(const std::vector<std::string> &texts)
{
    std::string all;
    for (const auto &text : texts)
        all += (all.empty() ? "" : ",") + text;
    return all.empty() ? "nothing" : all;
}

} // namespace

std::optional<DaemonOptions> parse_daemon_options(int argc, const char *const *argv, const std::string &default_config)
{
    DaemonOptions options;
    std::string pool = options.plan.pool.text();
    auto exclusions = texts_of(options.plan.exclusions);

    CLI::App app{"Gives TAP network devices to QEMU instances of unprivileged users, over D-Bus."};
    app.set_version_flag("--version", std::string{"qemu-tapd "} + QEMU_TAPCTL_VERSION);
    app.set_config("--config", default_config, "Configuration file: the options below as `key = value`");
    app.config_formatter(std::make_shared<LineConfig>());
    app.allow_config_extras(CLI::config_extras_mode::error);
    app.add_option("--pool", pool, "The block that subnets are cut from")->capture_default_str();
    add_number(app, "--prefix-length", options.plan.prefix_length, "The length of a tap's subnet, 1 to 30");
    add_number(app, "--first-index", options.plan.first_index, "The lowest N of tapN and its subnet");
    app.add_option("--device-prefix", options.plan.device_prefix, "What stands before N in a device's name")
        ->capture_default_str();
    app.add_option("--exclude", exclusions, "A prefix never to overlap; may be given several times")
        ->capture_default_str();
    std::vector<std::string> reserved;
    app.add_option("--reserve", reserved, "An index that one user's label alone gets; may be given several times")
        ->type_name("USER LABEL INDEX")
        ->type_size(words_of_reservation)
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    add_number(app, "--max-taps-per-user", options.limits.max_taps_per_user, "How many taps one user may hold");
    add_number(app, "--max-taps", options.limits.max_taps, "How many taps all users together may hold");
    app.add_option("--log-level", options.log_level, "What to log")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
        ->capture_default_str();
    unsigned idle_exit_seconds = 0;
    const auto *idle_exit =
        add_number(app, "--idle-exit", idle_exit_seconds, "Seconds without a call after which to leave; 0: never")
            ->default_str(std::to_string(default_idle_exit_seconds));
    const auto *user =
        app.add_option("--user", options.user.name, "The user that the service becomes")->capture_default_str();
    app.add_option("--runqemu-locks", options.runqemu_locks, "Where Yocto's runqemu is told that taps are not for it")
        ->capture_default_str()
        ->configurable(false);
    app.add_option("--runqemu-locks-at", options.runqemu_locks_at,
                   "Where the service sees that directory, if elsewhere")
        ->configurable(false);
    app.add_flag("--end-leases", options.end_leases, "Delete the devices of all leases, whosever they are, and end")
        ->configurable(false);
    if (std::none_of(argv + 1, argv + argc, [](std::string_view word) { return word.substr(0, 8) == "--config"; }))
        require_absent_or_readable(default_config);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success &success) {
        app.exit(success, std::cout, std::cerr);
        return std::nullopt;
    } catch (const CLI::ParseError &error) {
        // CLI11's own errors can take several lines, and repeat what they are about as it is.
        throw TapError{ErrorCode::invalid_argument, one_line(error.what())};
    }
    options.plan.pool = require_prefix("pool", pool);
    options.plan.exclusions.clear();
    for (const auto &text : exclusions)
        options.plan.exclusions.push_back(require_prefix("exclude", text));
    options.plan.reservations = reservations_of(reserved);
    require_absolute("runqemu-locks", options.runqemu_locks);
    if (!options.runqemu_locks_at.empty())
        require_absolute("runqemu-locks-at", options.runqemu_locks_at);
    options.user.demanded = user->count() > 0;
    if (!may_be_user_name(options.user.name))
        throw TapError{ErrorCode::invalid_argument,
                       "user " + quote(options.user.name) + " is no name: printable characters but blanks and colons"};
    if (idle_exit->count() > 0)
        options.idle_exit_seconds = idle_exit_seconds;
    return options;
}

std::optional<unsigned> seconds_until_leaving(const DaemonOptions &options, bool started_on_demand)
{
    const unsigned seconds = options.idle_exit_seconds.value_or(started_on_demand ? default_idle_exit_seconds : 0);
    return seconds == 0 ? std::nullopt : std::optional{seconds};
}

std::vector<std::string> differences(const DaemonOptions &before, const DaemonOptions &now)
{
    std::vector<std::string> texts;
    const auto compare = [&](const char *name, const std::string &old_text, const std::string &new_text) {
        if (old_text != new_text)
            texts.push_back(std::string{name} + " " + old_text + " is " + new_text + " now");
    };
    const auto seconds = [](const DaemonOptions &options) {
        return options.idle_exit_seconds ? std::to_string(*options.idle_exit_seconds) : "unset";
    };
    compare("pool", before.plan.pool.text(), now.plan.pool.text());
    compare("prefix-length", std::to_string(before.plan.prefix_length), std::to_string(now.plan.prefix_length));
    compare("first-index", std::to_string(before.plan.first_index), std::to_string(now.plan.first_index));
    compare("device-prefix", before.plan.device_prefix, now.plan.device_prefix);
    compare("exclude", joined(texts_of(before.plan.exclusions)), joined(texts_of(now.plan.exclusions)));
    compare("reserve", joined(texts_of(before.plan.reservations)), joined(texts_of(now.plan.reservations)));
    compare("max-taps-per-user", std::to_string(before.limits.max_taps_per_user),
            std::to_string(now.limits.max_taps_per_user));
    compare("max-taps", std::to_string(before.limits.max_taps), std::to_string(now.limits.max_taps));
    compare("log-level", before.log_level, now.log_level);
    compare("idle-exit", seconds(before), seconds(now));
    if (before.user.name != now.user.name)
        texts.push_back("user " + quote(before.user.name) + " will be " + quote(now.user.name) +
                        " from the next start on");
    return texts;
}

} // namespace qemutap
