"""Streams over a network card while a bridge takes it over and gives it back.

serve: answers datagrams on port 7 and bytes on port 9.
talk PROGRAM: sends a thousand numbered datagrams a second over IPv4 and over IPv6, and lines over TCP, while PROGRAM
makes the network and removes it. Prints family, datagrams sent, datagrams without an answer.
"""

import socket
import subprocess
import sys
import threading
import time

COMPUTER = {socket.AF_INET: "192.168.1.7", socket.AF_INET6: "2001:db8:1::7"}
ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
COMMANDS = ["network create lan --driver uplink --parent eth0", "network rm lan"]
RATE = 1000


def serve():
    def answer(family):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        datagrams.bind((ANY[family], 7))
        while True:
            data, who = datagrams.recvfrom(64)
            datagrams.sendto(data, who)

    for family in COMPUTER:
        threading.Thread(target=answer, args=(family,), daemon=True).start()
    listener = socket.create_server(("0.0.0.0", 9))
    connection, _ = listener.accept()
    while data := connection.recv(4096):
        connection.sendall(data)


def talk(program):
    stop = threading.Event()
    counts = {}

    def stream(family):
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        datagrams.connect((COMPUTER[family], 7))
        datagrams.setblocking(False)
        sent, answered = 0, set()

        def read():
            while True:
                try:
                    answered.add(int(datagrams.recv(64)))
                except OSError:
                    return

        begin = time.monotonic()
        while not stop.is_set():
            try:
                datagrams.send(str(sent).encode())
            except OSError:
                pass
            sent += 1
            read()
            time.sleep(max(0, begin + sent / RATE - time.monotonic()))
        time.sleep(0.5)
        read()
        counts[family] = (sent, sent - len(answered))

    threads = [threading.Thread(target=stream, args=(family,)) for family in COMPUTER]
    for thread in threads:
        thread.start()
    connection = socket.create_connection((COMPUTER[socket.AF_INET], 9))
    connection.settimeout(10)
    number = 0

    def lines(seconds):
        nonlocal number
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line = f"{number}\n".encode()
            connection.sendall(line)
            got = b""
            while len(got) < len(line):
                got += connection.recv(64)
            assert got == line, (got, line)
            number += 1

    lines(0.3)
    for command in COMMANDS:
        process = subprocess.Popen([program, *command.split()], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            lines(0.02)
        assert process.returncode == 0, command
        lines(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    for family, (sent, lost) in sorted(counts.items()):
        print(int(family), sent, lost)


if sys.argv[1] == "serve":
    serve()
else:
    talk(sys.argv[2])
