// SPDX-License-Identifier: MIT
//
// Splits the file's lines into words, and reads settings from the words.

#include "plan/configuration.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"
#include "common/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace qemutap {

namespace {

constexpr std::string_view white_space = " \t\r\v\f";

[[noreturn]] void refuse(const std::string &text)
{
    throw TapError{ErrorCode::invalid_argument, text};
}

Words words_of(std::string_view text)
{
    Words words;
    for (;;) {
        text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
        if (text.empty())
            return words;
        words.emplace_back(text.substr(0, text.find_first_of(white_space)));
        text.remove_prefix(words.back().size());
    }
}

// True for small letters, digits and dashes after a first letter. CLI11 gives special meanings to other keys.
bool is_key(std::string_view text)
{
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") == std::string_view::npos &&
           !text.empty() && text.front() >= 'a';
}

bool is_blank_or_comment(std::string_view line)
{
    const auto begin = line.find_first_not_of(white_space);
    return begin == std::string_view::npos || line[begin] == '#' || line[begin] == ';';
}

ConfigurationItem parse_line(std::string_view line)
{
    const auto equals = std::min(line.find('='), line.size());
    const auto key = words_of(line.substr(0, equals));
    if (equals == line.size() || key.size() != 1 || !is_key(key.front()))
        refuse("line " + quote(line) + " is no `key = value`");
    auto words = words_of(line.substr(equals + 1));
    const auto *row = find_setting(key.front());
    if (row && row->words_per_value > 1 && words.size() != row->words_per_value)
        refuse("line " + quote(line) + ": " + std::string{row->rule});
    if (words.empty())
        words.emplace_back();
    return {.key = key.front(), .words = std::move(words)};
}

} // namespace

std::vector<ConfigurationItem> parse_configuration(std::istream &lines)
{
    std::vector<ConfigurationItem> items;
    for (std::string line; std::getline(lines, line);) {
        if (is_blank_or_comment(line))
            continue;
        auto item = parse_line(line);
        const auto known = std::ranges::find(items, item.key, &ConfigurationItem::key);
        if (known == items.end())
            items.push_back(std::move(item));
        else
            known->words.insert(known->words.end(), item.words.begin(), item.words.end());
    }
    return items;
}

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
    refuse("can't read the configuration file " + path + ": " + reason);
}

ServiceSettings read_settings(const std::string &path)
{
    require_absent_or_readable(path);
    std::ifstream file{path};
    ServiceSettings settings;
    for (const auto &[key, words] : parse_configuration(file)) {
        const auto *row = find_setting(key);
        if (!row && std::ranges::find(daemon_keys, key) == std::end(daemon_keys))
            refuse("there is no setting " + quote(key));
        if (row && !row->many && words.size() != 1)
            refuse(key + " takes one value, and is given once");
        if (row)
            row->set(*row, settings, words);
    }
    return settings;
}

} // namespace qemutap
