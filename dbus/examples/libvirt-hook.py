#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libvirt-hook.py DOMAIN OPERATION PART EXTRA: taps for domains of libvirt's system mode.

Shows leases that another program uses, with python3-dbus. As /etc/libvirt/hooks/qemu it is called by libvirt before a
domain starts and after it has ended, with the domain's XML on its standard input. It gives taps, one queue each, to
NICs like this one

    <interface type='ethernet'>
      <target dev='tap29' managed='no'/>
      <model type='virtio'/>
    </interface>

under a lease with the domain's name as its label, and ends that with the domain. Which devices a label gets is the
service's to say, and the same each time unless somebody has taken them: the first start fails, and tells what to write
for `dev`.
"""

import sys
from xml.etree import ElementTree

import dbus


def names(taps):
    return [str(tap["name"]) for tap in taps]


def prepare(manager, domain, wanted, there):
    # One is there already if libvirt was not there itself when the domain ended.
    if there:
        return
    lease, taps, _ = manager.Acquire(len(wanted), {"hold": "name", "label": domain}, signature="ua{sv}", timeout=40)
    if names(taps) != wanted:
        manager.Release(lease, signature="s")
        sys.exit(f"domain {domain} has dev {', '.join(wanted)}; what is free for it is dev {', '.join(names(taps))}")


def release(manager, domain, wanted, there):
    for lease in there:
        manager.Release(lease, signature="s")


domain, operation, part = sys.argv[1:4]
act = {("prepare", "begin"): prepare, ("release", "end"): release}.get((operation, part))
if act:
    nics = ElementTree.parse(sys.stdin).iterfind("devices/interface[@type='ethernet']/target[@managed='no']")
    wanted = [nic.get("dev") for nic in nics]
    if wanted:
        try:
            service = dbus.SystemBus().get_object("org.qemutap1", "/org/qemutap1", introspect=False)
            manager = dbus.Interface(service, "org.qemutap1.Manager")
            leases = manager.List({}, signature="a{sv}", timeout=40)
            there = [lease["lease"] for lease in leases if lease["label"] == domain and names(lease["taps"]) == wanted]
            act(manager, domain, wanted, there)
        except dbus.DBusException as error:
            sys.exit(f"{error.get_dbus_name()}: {error.get_dbus_message()}")
