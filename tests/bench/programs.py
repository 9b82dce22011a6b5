# SPDX-License-Identifier: MIT
"""Points 2, 3 and 6: whole programs, as people run them, beside the programs that people use today."""

import time

from tests.bench import peers
from tests.bench.figures import Row, median, number, spread
from tests.bench.place import MANY, USER, Place, switches


def taken_in_turns(rounds, *runs):
    """Return the times of each run. All take turns, so that other load affects each of them."""
    found = [[] for _ in runs]
    for run in runs:
        run()  # not counted
    for _ in range(rounds):
        for times, run in zip(found, runs):
            times.append(run())
    return found


def both(peer):
    return lambda: peer.up() + peer.down()


def beside_peers(quick):
    with Place() as place:
        yield from _beside_peers(place, 4 if quick else 20)


def _beside_peers(place, rounds):
    def up_two():
        took = place.ctl("up", "--count", "2")
        place.ctl("down", "--all")
        return took

    def up_and_down():
        return place.ctl("up") + place.ctl("down", "--all")

    def twice(peer):
        def run():
            took = peer.up()
            peer.down()
            took += peer.up()
            peer.down()
            return took
        return run

    def first_half(peer):
        def run():
            took = peer.up()
            peer.down()
            return took
        return run
    yocto, libvirt, shell, bridge = peers.runqemu(place), peers.Libvirt(place), peers.shell(place), peers.Bridge(place)
    try:
        two, one, their_two, their_one, network, commands, descriptor = taken_in_turns(
            rounds, up_two, up_and_down, twice(yocto), both(yocto), both(libvirt), both(shell), first_half(bridge))
    finally:
        libvirt.close()
    yield Row(2, "`qemu-tapctl up --count 2` as a user, whole process", spread(two))
    yield Row(2, f"{yocto.name}, up only, twice; how many times as long as `up --count 2`", spread(their_two),
              median(their_two) / median(two), 8, least=True)
    yield Row(2, "`qemu-tapctl up` and `down` of one tap", spread(one))
    yield Row(2, f"{yocto.name}, up and down; how many times as long as `up` and `down`", spread(their_one),
              median(their_one) / median(one), 4, least=True)
    yield Row(2, f"{libvirt.name}; how many times as long as `up --count 2`", spread(network),
              median(network) / median(two), 1, least=True)
    yield Row(2, "the same; how many times as long as `up` and `down` of one tap", spread(network),
              median(network) / median(one), 1, least=True)
    yield Row(2, f"{shell.name} and one that deletes the tap; for comparison", spread(commands))
    yield Row(2, f"{bridge.name}, without an address, until it has the descriptor; for comparison", spread(descriptor))


def until_exec(quick):
    """Measure when a program begins that runs in place of QEMU."""
    with Place() as place:
        def begun(*before):
            def run():
                start = time.monotonic()
                out = place.output(*before, place.measurer, "now")
                return float(out.split()[1]) / 1e6 - start
            return run
        direct, through = taken_in_turns(20 if quick else 100, begun(), begun("qemu-tapctl", "run", "--"))
    yield Row(3, "a program started directly, until its first line", spread(direct, 1000))
    yield Row(3, "through `qemu-tapctl run` as a user; how much later than directly", spread(through, 1000),
              (median(through) - median(direct)) * 1000, 12, " ms")


def cold_start(quick):
    """A first `up`, which finds no service, beside the start of another service that the bus starts on demand."""
    with Place() as place:
        def service_and_up():
            place.stop_daemon()
            start = time.monotonic()
            place.start_daemon()
            took = (time.monotonic() - start) * 1000 + place.ctl("up")
            place.ctl("down", "--all")
            return took

        def polkit():
            place.stop_polkit()
            start = time.monotonic()
            place.start_polkit()
            return (time.monotonic() - start) * 1000
        ours, theirs = taken_in_turns(5 if quick else 20, service_and_up, polkit)
    yield Row(2, "polkitd, from its start until it has its name", spread(theirs))
    yield Row(2, "the service's start and the first `up`, by that", spread(ours), median(ours) / median(theirs), 2)


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        (line,) = [line for line in file if line.startswith("VmRSS:")]
    return int(line.split()[1])


def memory(quick):
    count, seconds = (200, 10) if quick else (1000, 60)
    with Place(*MANY) as place:
        daemon = place.daemon.pid
        place.ctl("list")
        idle = resident_kib(daemon)
        place.measure("fill", count)
        each = (resident_kib(daemon) - idle) / count
        client = max(place.command("qemu-tapctl", *words, user=USER)[1]
                     for words in (["list"], ["up"], ["down", "--all"]))
        before = place.calm()
        time.sleep(seconds)
        woke = switches(daemon) - before
    yield Row(6, "the service's resident memory, idle", f"{idle} KiB", idle / 1024, 12, " MiB")
    yield Row(6, f"the service's memory growth for each of {count} leases", f"{number(each)} KiB", each, 4, " KiB")
    yield Row(6, "the client's resident memory, maximum of list, up and down", f"{client:.0f} KiB",
              client / 1024, 7, " MiB")
    yield Row(6, f"wake-ups of the idle service in {seconds} s with {count} leases", f"{woke} times", woke, 0)
