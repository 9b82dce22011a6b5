// SPDX-License-Identifier: MIT
//
// Defines the options with CLI11, which also reads `key = value` files into them.

#include "daemon/options.hpp"

#include "common/error.hpp"
#include "common/number_option.hpp"
#include "common/quote.hpp"
#include "config.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <deque>
#include <iostream>
#include <memory>
#include <string_view>
#include <vector>

namespace qemutap {

namespace {

void require_absolute(const char *option, const std::string &path)
{
    if (!path.starts_with('/'))
        throw TapError{ErrorCode::invalid_argument,
                       std::string{option} + " " + quote(path) + " is no path that begins with /"};
}

// CLI11's own reader accepts sections, arrays and quotes that qemu-tapd.conf(5) does not have. It ignores text that it
// does not understand, and it reads beyond the end of an empty name.
class LineConfig : public CLI::ConfigBase {
public:
    std::vector<CLI::ConfigItem> from_config(std::istream &input) const override
    {
        std::vector<CLI::ConfigItem> items;
        for (const auto &[key, words] : parse_configuration(input)) {
            auto &item = items.emplace_back();
            item.name = key;
            item.inputs = words;
        }
        return items;
    }
};

// The options for the settings that all services share, one option for each row of their table.
class SharedOptions {
public:
    explicit SharedOptions(const ServiceSettings &defaults)
        : defaults_{defaults}
    {}
    SharedOptions(const SharedOptions &) = delete;
    SharedOptions &operator=(const SharedOptions &) = delete;

    void add_to(CLI::App &app)
    {
        for (const auto &row : setting_rows())
            add(app, row, entries_.emplace_back());
    }

    // Throws TapError invalid_argument, with the name of the setting.
    void apply_to(ServiceSettings &settings) const
    {
        for (const auto &entry : entries_)
            if (entry.option->count() > 0)
                entry.row->set(*entry.row, settings, entry.row->many ? entry.words : Words{entry.word});
    }

private:
    struct Entry {
        const SettingRow *row = nullptr;
        CLI::Option *option = nullptr;
        std::string word;
        Words words; // used if the row takes many values
    };

    void add(CLI::App &app, const SettingRow &row, Entry &entry) const
    {
        const auto name = "--" + std::string{row.key};
        const std::string help{row.help};
        entry.row = &row;
        if (row.words_per_value > 1) {
            entry.option = app.add_option(name, entry.words, help)
                               ->type_name(std::string{row.value_name})
                               ->type_size(static_cast<int>(row.words_per_value))
                               ->expected(1)
                               ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        } else if (row.many) {
            entry.words = row.values(defaults_);
            entry.option = app.add_option(name, entry.words, help)->capture_default_str();
        } else {
            entry.word = row.values(defaults_).front();
            entry.option =
                app.add_option(name, entry.word, help)->type_name(std::string{row.value_name})->capture_default_str();
        }
    }

    const ServiceSettings &defaults_;
    std::deque<Entry> entries_; // CLI11 keeps references to the words
};

} // namespace

std::optional<DaemonOptions> parse_daemon_options(int argc, const char *const *argv, const std::string &default_config)
{
    DaemonOptions options;

    CLI::App app{"Gives TAP network devices to QEMU instances of unprivileged users, over D-Bus."};
    app.set_version_flag("--version", std::string{"qemu-tapd "} + QEMU_TAPCTL_VERSION);
    app.set_config("--config", default_config, "Configuration file: the options below as `key = value`");
    app.config_formatter(std::make_shared<LineConfig>());
    app.allow_config_extras(CLI::config_extras_mode::error);
    SharedOptions shared{options};
    shared.add_to(app);
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
        // The texts of CLI11's errors can have several lines and repeat the user's text unquoted.
        throw TapError{ErrorCode::invalid_argument, one_line(error.what())};
    }
    shared.apply_to(options);
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
    auto texts = setting_differences(before, now);
    const auto compare = [&](const char *name, const std::string &old_text, const std::string &new_text) {
        if (old_text != new_text)
            texts.push_back(std::string{name} + " " + old_text + " is " + new_text + " now");
    };
    const auto seconds = [](const DaemonOptions &options) {
        return options.idle_exit_seconds ? std::to_string(*options.idle_exit_seconds) : "unset";
    };
    compare("log-level", before.log_level, now.log_level);
    compare("idle-exit", seconds(before), seconds(now));
    if (before.user.name != now.user.name)
        texts.push_back("user " + quote(before.user.name) + " will be " + quote(now.user.name) +
                        " from the next start on");
    return texts;
}

} // namespace qemutap
