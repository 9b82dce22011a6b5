#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""libvirt-hook.py DOMAIN OPERATION PART EXTRA: taps for domains of libvirt's system mode.

Shows with python3-dbus how one program holds leases for another. Install it as /etc/libvirt/hooks/qemu: libvirt calls
it before a domain starts and after it has ended, with the domain's XML on standard input. The hook makes a tap with one
queue for each NIC like this one:

    <interface type='ethernet'>
      <target dev='tap29' managed='no'/>
      <model type='virtio'/>
    </interface>

The taps belong to a lease whose label is the domain's name, and which the hook ends with the domain. The service
chooses the devices of a label, and chooses the same ones each time unless they are taken. The first start fails with an
error that names the devices to set as `dev`.
"""

import sys
from xml.etree import ElementTree

import dbus


def names(taps):
    return [str(tap["name"]) for tap in taps]


def prepare(manager, domain, wanted, there):
    # A lease is left if libvirt was not running when the domain ended.
    if there:
        return
    lease, taps, _ = manager.Acquire(len(wanted), {"hold": "name", "label": domain}, signature="ua{sv}", timeout=40)
    if names(taps) != wanted:
        manager.Release(lease, signature="s")
        sys.exit(f"domain {domain} has dev {', '.join(wanted)}; set it to dev {', '.join(names(taps))} in its XML")


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
