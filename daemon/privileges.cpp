// SPDX-License-Identifier: MIT
//
// Changes the identity with libcap-ng and compares the result with the intended one: a service that continues with too
// many rights is worse than one that ends.

#include "daemon/privileges.hpp"

#include "common/error.hpp"
#include "common/quote.hpp"
#include "common/unique_fd.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace qemutap {

namespace {

struct Account {
    std::string name;
    uid_t uid;
    gid_t gid;
};

std::optional<Account> find_account(const std::string &user)
{
    errno = 0;
    if (const auto *entry = ::getpwnam(user.c_str()))
        return Account{entry->pw_name, entry->pw_uid, entry->pw_gid};
    // getpwnam(3) lists the other values that mean "not found".
    if (errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM)
        throw std::system_error{errno, std::generic_category(), "can't look up the user " + quote(user)};
    return std::nullopt;
}

void require(int result, const char *call)
{
    if (result != 0)
        throw std::system_error{errno, std::generic_category(), std::string{call} + " of the service's user"};
}

// Has the effective identity of an account while it exists. The real identity stays root, so that the process can
// return to it.
class EffectiveAccount {
public:
    explicit EffectiveAccount(const Account &account)
        : groups_(static_cast<std::size_t>(::getgroups(0, nullptr)))
    {
        require(::getgroups(static_cast<int>(groups_.size()), groups_.data()) < 0, "getgroups");
        require(::initgroups(account.name.c_str(), account.gid), "initgroups");
        if (::setegid(account.gid) != 0 || ::seteuid(account.uid) != 0) {
            const int error = errno;
            go_back();
            throw std::system_error{error, std::generic_category(), "seteuid of the service's user"};
        }
    }
    EffectiveAccount(const EffectiveAccount &) = delete;
    EffectiveAccount &operator=(const EffectiveAccount &) = delete;
    ~EffectiveAccount() { go_back(); }

private:
    // Root can always do this. If it fails, the later become_service_user() fails too, and the service ends.
    void go_back() noexcept
    {
        [[maybe_unused]] const bool back =
            ::seteuid(0) == 0 && ::setegid(0) == 0 && ::setgroups(groups_.size(), groups_.data()) == 0;
    }

    std::vector<gid_t> groups_;
};

bool opens(const std::string &path)
{
    return static_cast<bool>(UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)});
}

// Selects the capabilities that this process will keep. It can't gain a capability that it lacks.
void choose_net_admin()
{
    if (capng_get_caps_process() != 0)
        throw std::runtime_error{"can't look at the capabilities of the service"};
    const bool has_it = capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN) == 1;
    capng_clear(CAPNG_SELECT_ALL);
    if (has_it)
        capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN);
}

bool may_empty_bounding_set()
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) == 1;
}

bool may_change_identity()
{
    return capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) == 1 &&
           capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID) == 1;
}

bool has_other_capability(bool bounding_set_emptied)
{
    if (capng_get_caps_process() != 0)
        return true;
    for (unsigned capability = 0; capability <= CAP_LAST_CAP; ++capability) {
        const auto has = [&](capng_type_t set) { return capng_have_capability(set, capability) == 1; };
        if (capability != CAP_NET_ADMIN && (has(CAPNG_EFFECTIVE) || has(CAPNG_PERMITTED) || has(CAPNG_INHERITABLE)))
            return true;
        if (bounding_set_emptied && has(CAPNG_BOUNDING_SET))
            return true;
    }
    return false;
}

void require_became(const Account &account)
{
    uid_t real = 0, effective = 0, saved = 0;
    require(::getresuid(&real, &effective, &saved), "getresuid");
    gid_t real_group = 0, effective_group = 0, saved_group = 0;
    require(::getresgid(&real_group, &effective_group, &saved_group), "getresgid");
    if (real != account.uid || effective != account.uid || saved != account.uid || real_group != account.gid ||
        effective_group != account.gid || saved_group != account.gid || ::setresuid(0, 0, 0) == 0)
        throw std::runtime_error{"can't become the user " + quote(account.name) + " wholly"};
}

} // namespace

RootChoice choose_root(const ServiceUser &user, const RootFacts &facts, const std::string &tun_path)
{
    if (!facts.root)
        return {};
    if (user.name == "root")
        return {.give_up = false, .warning = "runs as root, as the setting user says"};
    if (!facts.account_known && user.demanded)
        throw TapError{ErrorCode::invalid_argument, "user " + quote(user.name) + " has no account on this host"};
    if (!facts.account_known)
        return {.give_up = false,
                .warning = "stays root: there is no user " + quote(user.name) +
                           "; `systemd-sysusers` makes it, or `useradd --system " + user.name + "`"};
    if (!facts.may_change) {
        const std::string problem = "it lacks CAP_SETUID and CAP_SETGID to become the user " + quote(user.name);
        if (user.demanded)
            throw TapError{ErrorCode::host_refused, "can't give root up: " + problem};
        return {.give_up = false, .warning = "stays root: " + problem};
    }
    if (!facts.tun_as_root || facts.tun_as_user)
        return {.give_up = true, .warning = {}};
    const std::string problem = "the user " + quote(user.name) + " may not open " + tun_path + ", and root may";
    const std::string remedy = "; `chmod 666 " + tun_path + "` lets it, as udev does on a host of its own";
    if (user.demanded)
        throw TapError{ErrorCode::tun_unavailable, problem + remedy};
    return {.give_up = false, .warning = "stays root: " + problem + remedy};
}

std::optional<uid_t> uid_of(const std::string &user)
{
    const auto account = find_account(user);
    return account ? std::optional{account->uid} : std::nullopt;
}

RootChoice look_at_root(const ServiceUser &user, const std::string &tun_path)
{
    RootFacts facts{.root = ::geteuid() == 0};
    if (facts.root && user.name != "root") {
        const auto account = find_account(user.name);
        facts.account_known = account.has_value();
        facts.may_change = may_change_identity();
        facts.tun_as_root = opens(tun_path);
        if (account && facts.may_change) {
            const EffectiveAccount as_user{*account};
            facts.tun_as_user = opens(tun_path);
        }
    }
    return choose_root(user, facts, tun_path);
}

void become_service_user(const std::string &user)
{
    const auto account = find_account(user);
    if (!account)
        throw std::runtime_error{"the account of the user " + quote(user) + " is gone"};
    const bool empty_bounding_set = may_empty_bounding_set();
    choose_net_admin();
    const int flags = CAPNG_INIT_SUPP_GRP | CAPNG_CLEAR_AMBIENT | (empty_bounding_set ? CAPNG_CLEAR_BOUNDING : 0);
    const int result = capng_change_id(static_cast<int>(account->uid), static_cast<int>(account->gid),
                                       static_cast<capng_flags_t>(flags));
    if (result != 0)
        throw std::runtime_error{"can't become the user " + quote(user) + ": capng_change_id(3) ended with " +
                                 std::to_string(result)};
    require_became(*account);
    if (has_other_capability(empty_bounding_set))
        throw std::runtime_error{"can't give up the capabilities of root"};
}

void drop_capabilities()
{
    const bool empty_bounding_set = may_empty_bounding_set();
    choose_net_admin();
    const auto sets = empty_bounding_set ? CAPNG_SELECT_ALL : CAPNG_SELECT_CAPS;
    if (capng_apply(sets) != 0 || has_other_capability(empty_bounding_set))
        throw std::runtime_error{"can't give up capabilities"};
}

} // namespace qemutap
