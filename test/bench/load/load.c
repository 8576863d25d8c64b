/*
 * A load generator for HTTP/1.1 in one thread, so that it costs as little as reading and hashing the answers does.
 *
 *   cc -O2 -o load load.c -lm
 *   load hash < BODY
 *   load MODE port=N requests=FILE [NAME=VALUE …]
 *
 * closed  `clients` keep-alive connections, each asks again as soon as it has its answer, for `seconds`
 * burst   `clients` new connections at once, one request on each
 * slow    the same, but each takes `pace` bytes a second, through a receive buffer of `rcvbuf` bytes and segments of `mss`;
 *         until `seconds` are over or standard input ends
 * open    `rate` requests a second, at random moments (with even=1 at even intervals), whether or not earlier ones are
 *         answered, each on a connection of its own; for `seconds`
 * idle    `clients` keep-alive connections, one request on each, which then stay open until standard input ends
 * list    `sessions` times the next `group` requests of FILE in their order, one after the other on one connection; from
 *         the beginning again when FILE is at its end. At most `clients` at once; spread over `seconds`, else as soon as may be
 * first   one request, tried again until the server is there and the answer is whole and 200
 *
 * FILE holds requests one after the other: a line `NAME WEIGHT BYTES`, then so many bytes, which are sent as they are. A
 * request is picked at random by weight. It ends as ok (whole, whatever its status), short (the connection ended before
 * the answer did), malformed, refused or timeout (`timeout` seconds from the moment at which it was due).
 *
 * The server is on `host`, loopback unless told; clients have 200 addresses, from `from` on. Prints `asked` when all of a
 * burst or of slow clients have sent their requests, or idle ones have their answers; with records=1 a JSON line per request,
 * in ms of CLOCK_MONOTONIC; and last a JSON line of the whole run, with exact quantiles. Latencies count from the moment at which a request was
 * due, so that a generator that lags behind cannot make a server look fast; `late` says how far it lagged.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "answer.h"
#include "request.h"
#include "record.h"
#include "connection.h"
#include "moments.h"

struct client {
  int fd; /* -1: idle */
  bool connected;
  const struct request *request;
  int session, asked; /* in mode list: which session, and how many of its requests were sent */
  size_t written;
  uint64_t received;
  double due, sent, joined, first;
  struct answer answer;
};

static char buffer[256 * 1024];
static struct client **clients;
static int client_count, running, poller;
static uint64_t all_bytes;
static double timeout_ms = 120000, pace, deadline;
static int asked, group;
static bool closed_loop, idle;

static void ask(struct client *client, double due);

static void finish(struct client *client, const char *result) {
  double last = now();
  struct answer *answer = &client->answer;
  note((struct record){
      .request = client->request - requests,
      .session = client->session,
      .ends_in_flush = memcmp(answer->tail, "0000", 4) == 0,
      .status = answer->status,
      .result = result,
      .due = client->due,
      .sent = client->sent,
      .joined = client->joined,
      .first = client->first,
      .last = last,
      .length = answer->body.length,
      .hash = hash_value(answer->body),
  });
  running--;
  bool again = group ? client->asked < group : closed_loop && last < deadline;
  if (client->fd >= 0 && !((again || idle) && answer->part == WHOLE && !answer->closes)) {
    close(client->fd);
    client->fd = -1;
  }
  /* A client without a complete answer pauses before it tries again, until all clients were checked. */
  if (again && answer->part == WHOLE) ask(client, now());
}

static void write_request(struct client *client) {
  const struct request *request = client->request;
  if (client->written == request->length) return;
  ssize_t count = send(client->fd, request->bytes + client->written, request->length - client->written, MSG_NOSIGNAL);
  if (count < 0 && errno != EAGAIN) return; /* what is there to read says why */
  if (count > 0) client->written += count;
  if (client->written == request->length) asked++;
}

static void watch(struct client *client, int operation) {
  bool writing = !client->connected || client->written < client->request->length;
  /* A slow client does not ask whether there is something to read: it looks when it is time. */
  struct epoll_event event = {.events = writing ? EPOLLOUT : pace > 0 ? 0 : EPOLLIN, .data.ptr = client};
  if (!writing && pace > 0) epoll_ctl(poller, EPOLL_CTL_DEL, client->fd, &event);
  else epoll_ctl(poller, operation, client->fd, &event);
}

static void ask(struct client *client, double due) {
  client->request = group ? &requests[(client->session * group + client->asked++) % request_count] : pick();
  client->written = client->received = 0;
  client->due = due;
  client->sent = now();
  client->first = 0;
  answer_reset(&client->answer);
  running++;
  if (client->fd >= 0) {
    write_request(client);
    if (client->written < client->request->length) watch(client, EPOLL_CTL_MOD);
    return;
  }
  client->connected = false;
  client->joined = 0;
  if (!begin_connection(&client->fd)) {
    finish(client, "refused");
    return;
  }
  watch(client, EPOLL_CTL_ADD);
}

/* At most `count` bytes of an answer; false when there is nothing more to come. */
static void take(struct client *client, size_t count) {
  if (count > sizeof buffer) count = sizeof buffer;
  ssize_t got = recv(client->fd, buffer, count, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) {
    bool whole = got == 0 && answer_ended(&client->answer);
    finish(client, whole ? "ok" : client->received || client->connected ? "short" : "refused");
    return;
  }
  if (!client->first) client->first = now();
  client->received += got;
  all_bytes += got;
  answer_bytes(&client->answer, buffer, got);
  if (client->answer.part == WHOLE) finish(client, "ok");
  else if (client->answer.part == MALFORMED) finish(client, "malformed");
}

static void act(struct client *client, unsigned events) {
  if (idle && client->answer.part == WHOLE) {
    close(client->fd); /* the server has closed a connection that waited */
    client->fd = -1;
    return;
  }
  if (!client->connected) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
      finish(client, "refused");
      return;
    }
    client->connected = true;
    client->joined = now();
  }
  if (client->written < client->request->length) {
    write_request(client);
    watch(client, EPOLL_CTL_MOD);
  }
  if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) take(client, sizeof buffer);
}

static struct client *new_client(void) {
  clients = realloc(clients, sizeof *clients * (client_count + 1));
  struct client *client = calloc(1, sizeof *client);
  client->fd = -1;
  return clients[client_count++] = client;
}

static struct client *idle_client(void) {
  for (int index = client_count - 1; index >= 0 && index > client_count - 64; index--)
    if (clients[index]->fd < 0) return clients[index];
  for (int index = 0; index < client_count && running < client_count; index++)
    if (clients[index]->fd < 0) return clients[index];
  return new_client();
}

static void look_at_all(double time) {
  for (int index = 0; index < client_count; index++) {
    struct client *client = clients[index];
    if (client->fd < 0) {
      if (closed_loop && time < deadline) ask(client, time);
      continue;
    }
    if (idle && client->answer.part == WHOLE) continue;
    if (time > client->due + timeout_ms) {
      finish(client, "timeout");
    } else if (pace > 0 && client->connected && client->written == client->request->length) {
      double allowed = pace * (time - client->due) / 1e3 - client->received;
      if (allowed >= 1) take(client, allowed);
    }
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "", *file = NULL;
  double seconds = 0, rate = 0;
  int wanted = 1, sessions = 0, begun_sessions = 0;
  bool each = false, even = false;
  if (strcmp(mode, "hash") == 0) {
    print_hash_of_input();
    return 0;
  }
  for (int index = 2; index < argc; index++) {
    char *value = strchr(argv[index], '=');
    if (!value) die(argv[index]);
    *value++ = 0;
    const char *name = argv[index];
    if (connection_option(name, value)) continue;
    if (strcmp(name, "requests") == 0) file = value;
    else if (strcmp(name, "clients") == 0) wanted = atoi(value);
    else if (strcmp(name, "seconds") == 0) seconds = atof(value);
    else if (strcmp(name, "rate") == 0) rate = atof(value);
    else if (strcmp(name, "even") == 0) even = atoi(value);
    else if (strcmp(name, "pace") == 0) pace = atof(value);
    else if (strcmp(name, "timeout") == 0) timeout_ms = atof(value) * 1e3;
    else if (strcmp(name, "sessions") == 0) sessions = atoi(value);
    else if (strcmp(name, "group") == 0) group = atoi(value);
    else if (strcmp(name, "seed") == 0) random_state = strtoull(value, NULL, 10);
    else if (strcmp(name, "records") == 0) each = atoi(value);
    else die(name);
  }
  bool open_loop = strcmp(mode, "open") == 0, slow = strcmp(mode, "slow") == 0, first = strcmp(mode, "first") == 0;
  bool list = strcmp(mode, "list") == 0, in_a_burst = slow || strcmp(mode, "burst") == 0;
  closed_loop = strcmp(mode, "closed") == 0;
  idle = strcmp(mode, "idle") == 0;
  if (list != (sessions > 0) || list != (group > 0)) die("list needs sessions=N and group=N");
  if (!file || !port || !(open_loop || list || first || closed_loop || idle || in_a_burst))
    die("load MODE port=N requests=FILE …");
  read_requests(file);
  setpriority(PRIO_PROCESS, 0, -10); /* if permitted: the load generator itself must not be late */
  prctl(PR_SET_TIMERSLACK, 1000); /* wake up when asked to, and not 50 us later */
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (slow || idle) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) < 0) die("standard input");
  }

  double begun = now(), due = begun, looked = begun;
  deadline = begun + seconds * 1e3;
  bool stopped = false, said = false;
  if (open_loop) {
    due += interval(rate, even);
  } else if (!list && !idle) {
    for (int index = 0; index < wanted; index++) new_client();
    for (int index = 0; index < wanted; index++) ask(clients[index], now());
  }
  for (;;) {
    double time = now();
    for (; open_loop && due <= time && due < deadline; due += interval(rate, even)) ask(idle_client(), due);
    /* Few at a time, so that the queue of connections to be accepted does not overflow. */
    while (idle && client_count < wanted && running < 100) ask(new_client(), now());
    for (; list && begun_sessions < sessions && running < wanted; begun_sessions++) {
      double planned = begun + seconds * 1e3 * begun_sessions / sessions;
      if (planned > time) break;
      struct client *client = idle_client();
      client->session = begun_sessions;
      client->asked = 0;
      ask(client, seconds > 0 ? planned : time);
    }
    if (first && running == 0) {
      struct record *record = &records[record_count - 1];
      if ((strcmp(record->result, "ok") == 0 && record->status == 200) || time > begun + timeout_ms) break;
      record_count--;
      usleep(1000);
      ask(clients[0], begun);
    }
    if ((slow && (stopped || time > deadline)) || (idle && stopped)) break;
    bool more = first || idle || begun_sessions < sessions || ((open_loop || closed_loop) && (open_loop ? due : time) < deadline);
    if (running == 0 && !more) break;
    if (!said && (idle ? client_count == wanted && running == 0 : in_a_burst && asked >= wanted)) {
      printf("asked\n");
      fflush(stdout);
      said = true;
    }
    struct epoll_event events[512];
    double most = begun_sessions < sessions ? 1 : slow ? 20 : 50;
    int count = open_loop && due < deadline && due - now() < most
                    ? wait_until(poller, events, 512, due)
                    : epoll_wait(poller, events, 512, most);
    for (int index = 0; index < count; index++) {
      struct client *client = events[index].data.ptr;
      if (!client) stopped = read(0, buffer, 1) <= 0;
      else if (client->fd >= 0) act(client, events[index].events);
    }
    if (now() - looked >= (slow ? 20 : 50)) look_at_all(looked = now());
  }
  size_t under_way = 0;
  for (int index = 0; index < client_count; index++) under_way += clients[index]->fd >= 0 && clients[index]->first > 0;
  report(now() - begun, all_bytes, under_way, each);
  return 0;
}
