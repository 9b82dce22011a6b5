// SPDX-License-Identifier: MIT
//
// I8: requests that wait for an authorisation are limited, per user and in total, and users do not wait for each other.

#include "daemon/core/turnstile.hpp"

#include "common/error.hpp"
#include "tests/catch.hpp"

#include <algorithm>
#include <list>
#include <string>
#include <vector>

using namespace qemutap;

namespace {

// Present: 4 per user, 6 in total. On the way: 2 per user, 3 in total.
constexpr TurnstileLimits limits{4, 6, 2, 3};

struct Road {
    Turnstile turnstile{limits};
    std::list<std::pair<std::string, Turnstile::Pass>> on_the_way;

    void enter(uid_t uid, const std::string &name)
    {
        turnstile.enter(uid, [this, name](Turnstile::Pass pass) { on_the_way.emplace_back(name, std::move(pass)); });
    }

    void leave(const std::string &name)
    {
        for (auto at = on_the_way.begin(); at != on_the_way.end(); ++at)
            if (at->first == name) {
                const auto gone = std::move(*at);
                on_the_way.erase(at);
                return;
            }
        FAIL(name << " is not on the way");
    }

    std::vector<std::string> names() const
    {
        std::vector<std::string> names;
        for (const auto &[name, pass] : on_the_way)
            names.push_back(name);
        return names;
    }
};

using Names = std::vector<std::string>;

} // namespace

TEST_CASE("a request starts at once if there is room")
{
    Road road;
    road.enter(1, "a1");
    CHECK(road.names() == Names{"a1"});
}

TEST_CASE("I8 bounded: a user's further requests wait, and another user's overtake them")
{
    Road road;
    for (const char *name : {"a1", "a2", "a3", "a4"})
        road.enter(1, name);
    CHECK(road.names() == Names{"a1", "a2"});
    road.enter(2, "b1");
    CHECK(road.names() == Names{"a1", "a2", "b1"});
    road.enter(2, "b2"); // all places on the way are taken
    road.leave("a2");
    CHECK(road.names() == Names{"a1", "b1", "a3"});
    road.leave("a1");
    CHECK(road.names() == Names{"b1", "a3", "a4"});
    road.leave("b1");
    CHECK(road.names() == Names{"a3", "a4", "b2"});
    road.leave("b2");
    CHECK(road.names() == Names{"a3", "a4"});
}

TEST_CASE("I8 bounded: above the limit of a user or of all users a request is refused and not counted")
{
    Road road;
    for (const char *name : {"a1", "a2", "a3", "a4"})
        road.enter(1, name);
    CHECK_THROWS_AS(road.enter(1, "a5"), TapError);
    road.enter(2, "b1");
    road.enter(2, "b2");
    CHECK_THROWS_AS(road.enter(3, "c1"), TapError);
    for (const char *name : {"a1", "a2", "a3", "a4", "b1", "b2"})
        road.leave(name);
    CHECK(road.names().empty());
    for (const char *name : {"a1", "a2", "a3", "a4"})
        CHECK_NOTHROW(road.enter(1, name));
}

TEST_CASE("I8 bounded: a request that waits too long is refused, no longer counted, and never starts")
{
    using std::chrono::seconds;
    Turnstile turnstile{{3, 6, 1, 2, "something"}};
    Turnstile::Pass first;
    Names events;
    turnstile.enter(1, [&](Turnstile::Pass pass) { first = std::move(pass); });
    const auto enter = [&](const std::string &name, Moment until) {
        turnstile.enter(
            1, [&, name](const Turnstile::Pass &) { events.push_back(name); },
            Turnstile::Patience{until, [&, name] { events.push_back("refused " + name); }});
    };
    CHECK_FALSE(turnstile.next_refusal());
    enter("a2", seconds{7});
    enter("a3", seconds{5});
    CHECK(turnstile.next_refusal() == Moment{seconds{5}});
    CHECK_THROWS_AS(enter("a4", seconds{9}), TapError);
    turnstile.refuse_overdue(seconds{4});
    CHECK(events.empty());
    turnstile.refuse_overdue(seconds{5});
    CHECK(events == Names{"refused a3"});
    CHECK(turnstile.next_refusal() == Moment{seconds{7}});
    enter("a4", seconds{9});
    first.reset();
    CHECK(events == Names{"refused a3", "a2", "a4"});
    CHECK_FALSE(turnstile.next_refusal());
    CHECK(turnstile.empty());
}

TEST_CASE("a request that ends as soon as it starts lets the next one start")
{
    Turnstile turnstile{{100, 100, 1, 1}};
    Turnstile::Pass first;
    unsigned started = 0;
    turnstile.enter(1, [&](Turnstile::Pass pass) { first = std::move(pass); });
    for (int i = 0; i < 50; ++i)
        turnstile.enter(1, [&](const Turnstile::Pass &) { ++started; });
    CHECK(started == 0);
    first.reset();
    CHECK(started == 50);
}

TEST_CASE("requests that end as soon as they start are started one after the other, not recursively")
{
    Turnstile turnstile{{100, 100, 1, 1}};
    Turnstile::Pass first;
    unsigned started = 0;
    unsigned within = 0;
    unsigned deepest = 0;
    turnstile.enter(1, [&](Turnstile::Pass pass) { first = std::move(pass); });
    for (int i = 0; i < 50; ++i)
        turnstile.enter(1, [&](Turnstile::Pass pass) {
            ++started;
            deepest = std::max(deepest, ++within);
            pass.reset();
            --within;
        });
    first.reset();
    CHECK(started == 50);
    CHECK(deepest == 1);
}

TEST_CASE("a turnstile is empty if no request is on the way and none waits")
{
    std::vector<Turnstile::Pass> passes;
    Turnstile turnstile{{100, 100, 1, 1}};
    const auto keep = [&](Turnstile::Pass pass) { passes.push_back(std::move(pass)); };
    CHECK(turnstile.empty());
    turnstile.enter(1, keep);
    turnstile.enter(2, keep);
    REQUIRE(passes.size() == 1);
    passes.front().reset();
    CHECK_FALSE(turnstile.empty());
    REQUIRE(passes.size() == 2);
    passes.clear();
    CHECK(turnstile.empty());
}

TEST_CASE("a pass can outlive its turnstile")
{
    Turnstile::Pass kept;
    {
        Turnstile turnstile{limits};
        turnstile.enter(1, [&](Turnstile::Pass pass) { kept = std::move(pass); });
    }
    CHECK_NOTHROW(kept.reset());
}

TEST_CASE("a request that still waits when the turnstile is destroyed never starts")
{
    unsigned started = 0;
    bool dropped = false;
    Turnstile::Pass kept;
    {
        Turnstile turnstile{{100, 100, 1, 1}};
        turnstile.enter(1, [&](Turnstile::Pass pass) { kept = std::move(pass); });
        const auto waiting = std::shared_ptr<void>{nullptr, [&](void *) { dropped = true; }};
        turnstile.enter(1, [&started, waiting](const Turnstile::Pass &) { ++started; });
    }
    CHECK(dropped);
    kept.reset();
    CHECK(started == 0);
}
