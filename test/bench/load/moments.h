/* The clock of load.c, when requests of an open loop are due, and how it waits for that moment. */
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <time.h>

/* Milliseconds. */
static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

/* Until the next request: always the same, or as independent clients come (exponentially distributed). */
static double interval(double rate, bool even) { return (even ? 1 : -log(1 - random_share())) / rate * 1e3; }

/* Events until a moment, to the microsecond, which epoll_wait(2) does not offer. */
static int wait_until(int poller, struct epoll_event *events, int room, double moment) {
  struct pollfd ready = {.fd = poller, .events = POLLIN};
  double ms = moment - now();
  struct timespec limit = {.tv_nsec = ms > 0 ? ms * 1e6 : 0};
  return ppoll(&ready, 1, &limit, NULL) > 0 ? epoll_wait(poller, events, room, 0) : 0;
}
