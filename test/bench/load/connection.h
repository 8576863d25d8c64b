/* Where load.c connects to, and from. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int port, rcvbuf, mss;
static const char *host = "127.0.0.1", *from = "127.1.0.1";

static bool connection_option(const char *name, const char *value) {
  if (strcmp(name, "port") == 0) port = atoi(value);
  else if (strcmp(name, "host") == 0) host = value;
  else if (strcmp(name, "from") == 0) from = value;
  else if (strcmp(name, "rcvbuf") == 0) rcvbuf = atoi(value);
  else if (strcmp(name, "mss") == 0) mss = atoi(value);
  else return false;
  return true;
}

/* Opens a socket that connects; false if that is refused at once. */
static bool begin_connection(int *fd) {
  static unsigned source;
  int one = 1;
  *fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (*fd < 0) die("socket");
  setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (rcvbuf) setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
  if (mss) setsockopt(*fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
  /* Clients have many addresses, which is also what keeps ports from running out. */
  struct sockaddr_in own = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  own.sin_addr.s_addr = htonl(ntohl(inet_addr(from)) + source++ % 200);
  to.sin_addr.s_addr = inet_addr(host);
  setsockopt(*fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  if (bind(*fd, (struct sockaddr *)&own, sizeof own) < 0) die("bind");
  return connect(*fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS;
}
