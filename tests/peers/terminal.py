"""A terminal in front of a socket: `terminal.py LINK SOCKET` makes a pseudo-terminal, a link to it, and carries bytes both ways."""

import os
import select
import socket
import sys
import tty

link, path = sys.argv[1:]
master, slave = os.openpty()
# Nothing is echoed before the other end has set it to raw bytes too.
tty.setraw(slave)
if os.path.lexists(link):
    os.remove(link)
os.symlink(os.ttyname(slave), link)
far = socket.socket(socket.AF_UNIX)
far.connect(path)
while True:
    ready, _, _ = select.select([master, far], [], [])
    if master in ready:
        far.sendall(os.read(master, 4096))
    if far in ready:
        came = far.recv(4096)
        if not came:
            break
        os.write(master, came)
