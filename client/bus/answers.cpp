// SPDX-License-Identifier: MIT
//
// Reads answers in two forms, a dictionary for each tap and columns for all leases, by the tables of fields.

#include "client/bus/answers.hpp"

#include "common/error.hpp"
#include "contract/bus_names.hpp"
#include "contract/fields.hpp"

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>

namespace qemutap {

namespace {

[[noreturn]] void refuse_field(const std::string &key)
{
    refuse_answer("no usable " + key);
}

template <typename AnyField>
void set_field(const AnyField &field, typename AnyField::Grant &grant, typename AnyField::Wire form)
{
    if (!field.set(grant, std::move(form)))
        refuse_field(field.key);
}

TapGrant read_tap(const Dictionary &dictionary)
{
    TapGrant tap;
    for_each_field(tap_fields, [&]<typename AnyField>(const AnyField &field) {
        using Wire = typename AnyField::Wire;
        const auto found = dictionary.find(field.key);
        if (found == dictionary.end() || !found->second.template containsValueOfType<Wire>())
            refuse_field(field.key);
        set_field(field, tap, found->second.template get<Wire>());
    });
    return tap;
}

template <typename Wire>
constexpr const char *column_type = nullptr;
template <>
constexpr const char *column_type<std::string> = "as";
template <>
constexpr const char *column_type<std::uint32_t> = "au";
template <>
constexpr const char *column_type<std::uint64_t> = "at";
template <>
constexpr const char *column_type<bool> = "ab";

template <typename Wire>
void read_column(sdbus::Message &message, const std::string &key, std::vector<Wire> &values)
{
    try {
        message.enterVariant(column_type<Wire>);
    } catch (const sdbus::Error &) {
        refuse_field(key);
    }
    message >> values;
    message.exitVariant();
}

void require_rows(const char *key, std::size_t values, std::uint64_t rows)
{
    if (values != rows)
        refuse_answer(std::to_string(values) + " of " + key + " for " + std::to_string(rows));
}

// One column for each field of a table.
template <typename Fields>
class Columns;
template <typename... Fields>
class Columns<std::tuple<Fields...>> {
public:
    using Grant = typename std::tuple_element_t<0, std::tuple<Fields...>>::Grant;

    explicit Columns(const std::tuple<Fields...> &fields)
        : fields_{fields}
    {}

    // Reads the column with this key. Returns false and reads nothing if the table has no such key.
    bool read(sdbus::Message &message, const std::string &key)
    {
        bool known = false;
        each([&](const auto &field, auto &values) {
            if (key != field.key)
                return;
            read_column(message, key, values);
            known = true;
        });
        return known;
    }

    // The number of rows, as the first column has it.
    std::size_t rows() const { return std::get<0>(values_).size(); }

    // Throws TapError failed unless each column has this length.
    void require(std::uint64_t rows)
    {
        each([rows](const auto &field, const auto &values) { require_rows(field.key, values.size(), rows); });
    }

    // Moves the values of one row out of the columns and returns them as a grant.
    Grant take(std::size_t row)
    {
        Grant grant;
        each([&]<typename AnyField>(const AnyField &field, auto &values) {
            set_field(field, grant, typename AnyField::Wire{std::move(values[row])});
        });
        return grant;
    }

private:
    template <typename Use>
    void each(Use use)
    {
        each(use, std::index_sequence_for<Fields...>{});
    }
    template <typename Use, std::size_t... I>
    void each(Use &use, std::index_sequence<I...>)
    {
        (use(std::get<I>(fields_), std::get<I>(values_)), ...);
    }

    const std::tuple<Fields...> &fields_;
    std::tuple<std::vector<typename Fields::Wire>...> values_;
};

class ListColumns {
public:
    void read(sdbus::Message &message, const std::string &key)
    {
        if (key == key_taps)
            read_column(message, key, tap_counts_);
        else if (!leases_.read(message, key) && !taps_.read(message, key)) {
            sdbus::Variant of_a_later_version;
            message >> of_a_later_version;
        }
    }

    std::vector<LeaseGrant> take_leases()
    {
        const auto rows = leases_.rows();
        leases_.require(rows);
        require_rows(key_taps, tap_counts_.size(), rows);
        taps_.require(std::accumulate(tap_counts_.begin(), tap_counts_.end(), std::uint64_t{0}));
        std::vector<LeaseGrant> leases;
        leases.reserve(rows);
        std::size_t next = 0;
        for (std::size_t row = 0; row < rows; ++row) {
            if (tap_counts_[row] == 0)
                refuse_answer("a lease without taps");
            auto lease = leases_.take(row);
            lease.taps.reserve(tap_counts_[row]);
            for (const auto end = next + tap_counts_[row]; next < end; ++next)
                lease.taps.push_back(taps_.take(next));
            leases.push_back(std::move(lease));
        }
        return leases;
    }

private:
    Columns<std::remove_cv_t<decltype(lease_fields)>> leases_{lease_fields};
    std::vector<std::uint32_t> tap_counts_;
    Columns<std::remove_cv_t<decltype(tap_fields)>> taps_{tap_fields};
};

} // namespace

void refuse_answer(const std::string &what)
{
    throw TapError{ErrorCode::failed, "qemu-tapd answered with " + what + "; is it of another version?"};
}

std::vector<TapGrant> read_taps(const std::vector<Dictionary> &dictionaries)
{
    std::vector<TapGrant> taps;
    taps.reserve(dictionaries.size());
    for (const auto &dictionary : dictionaries)
        taps.push_back(read_tap(dictionary));
    if (taps.empty())
        refuse_answer("a lease without taps");
    return taps;
}

sdbus::Message &operator>>(sdbus::Message &message, LeaseList &list)
{
    ListColumns columns;
    message.enterContainer("a{sv}");
    if (!message.enterContainer("{sv}"))
        refuse_answer("nothing");
    while (message.enterDictEntry("sv")) {
        std::string key;
        message >> key;
        columns.read(message, key);
        message.exitDictEntry();
    }
    message.clearFlags();
    message.exitContainer();
    try {
        message.exitContainer();
    } catch (const sdbus::Error &) {
        refuse_answer("more than one dictionary of columns");
    }
    list.leases = columns.take_leases();
    return message;
}

} // namespace qemutap
