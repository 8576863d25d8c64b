"""Serves the repositories below a directory with dulwich's own WSGI application, on a free port of 127.0.0.1.

Usage: dulwich-server.py ROOT. Prints the port when it listens.
"""
import os
import socketserver
import sys
from wsgiref.simple_server import make_server

from dulwich.log_utils import default_logging_config
from dulwich.server import FileSystemBackend
from dulwich.web import WSGIRequestHandlerLogger, WSGIServerLogger, make_wsgi_chain


class Server(socketserver.ThreadingMixIn, WSGIServerLogger):
    """dulwich's server, which alone answers one request after the other."""

    daemon_threads = True


class Backend(FileSystemBackend):
    """Opens URL paths below the root, where dulwich's expects paths of the file system."""

    def open_repository(self, path):
        return super().open_repository(os.fsdecode(path).lstrip("/"))


default_logging_config()
application = make_wsgi_chain(Backend(sys.argv[1]))
server = make_server("127.0.0.1", 0, application, Server, WSGIRequestHandlerLogger)
print(server.server_port, flush=True)
server.serve_forever()
