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
 * open    `rate` requests a second, at random moments, whether or not earlier ones are answered, each on a connection of
 *         its own; for `seconds`
 * first   one request, tried again until the server is there and the answer is whole and 200
 *
 * FILE holds requests one after the other: a line `NAME WEIGHT BYTES`, then so many bytes, which are sent as they are. A
 * request is picked at random by weight. It ends as ok (whole, whatever its status), short (the connection ended before
 * the answer did), malformed, refused or timeout (`timeout` seconds from the moment at which it was due).
 *
 * Prints `asked` when all of a burst or of slow clients have sent their requests; with records=1 a JSON line per request,
 * in ms of CLOCK_MONOTONIC; and last a JSON line of the whole run. Latencies count from the moment at which a request was
 * due, so that a generator that lags behind cannot make a server look fast; `late` says how far it lagged.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "answer.h"

struct request {
  char name[64];
  double weight;
  char *bytes;
  size_t length;
};

struct client {
  int fd; /* -1: idle */
  bool connected;
  const struct request *request;
  size_t written;
  uint64_t received;
  double due, sent, joined, first;
  struct answer answer;
};

struct record {
  int request, status;
  const char *result;
  double due, sent, joined, first, last;
  uint64_t length, hash;
};

static char buffer[256 * 1024];
static struct request *requests;
static int request_count;
static double total_weight;
static struct client **clients;
static int client_count, running, poller, port;
static struct record *records;
static size_t record_count, record_room;
static uint64_t all_bytes, random_state = 1;
static double timeout_ms = 120000, pace, deadline;
static int rcvbuf, mss, asked;
static bool closed_loop;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

/* From 0 to 1, the same for the same seed (SplitMix64). */
static double random_share(void) {
  uint64_t mixed = random_state += 0x9e3779b97f4a7c15u;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return ((mixed ^ (mixed >> 31)) >> 11) / 9007199254740992.0;
}

static const struct request *pick(void) {
  double at = random_share() * total_weight;
  for (int index = 0; index < request_count; index++)
    if ((at -= requests[index].weight) < 0) return &requests[index];
  return &requests[0];
}

static void read_requests(const char *path) {
  FILE *file = fopen(path, "r");
  if (!file) die(path);
  struct request each;
  while (fscanf(file, "%63s %lf %zu", each.name, &each.weight, &each.length) == 3) {
    fgetc(file);
    each.bytes = malloc(each.length + 1);
    if (fread(each.bytes, 1, each.length, file) != each.length) die("a request that is cut short");
    requests = realloc(requests, sizeof each * (request_count + 1));
    requests[request_count++] = each;
    total_weight += each.weight;
  }
  fclose(file);
  if (request_count == 0) die("no requests");
}

static void ask(struct client *client, double due);

static void finish(struct client *client, const char *result) {
  double last = now();
  if (record_count == record_room)
    records = realloc(records, sizeof *records * (record_room = record_room ? record_room * 2 : 1024));
  struct answer *answer = &client->answer;
  records[record_count++] = (struct record){
      .request = client->request - requests,
      .status = answer->status,
      .result = result,
      .due = client->due,
      .sent = client->sent,
      .joined = client->joined,
      .first = client->first,
      .last = last,
      .length = answer->body.length,
      .hash = hash_value(answer->body),
  };
  running--;
  bool again = closed_loop && last < deadline;
  if (client->fd >= 0 && !(again && answer->part == WHOLE && !answer->closes)) {
    close(client->fd);
    client->fd = -1;
  }
  /* Whoever got no whole answer pauses before it tries again: until all clients are looked at. */
  if (again && answer->part == WHOLE) ask(client, now());
}

static void write_request(struct client *client) {
  const struct request *request = client->request;
  if (client->written == request->length) return;
  ssize_t count = write(client->fd, request->bytes + client->written, request->length - client->written);
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
  static unsigned source;
  client->request = pick();
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
  int one = 1;
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (client->fd < 0) die("socket");
  setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (rcvbuf) setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
  if (mss) setsockopt(client->fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof mss);
  /* Clients have many addresses, which is also what keeps ports from running out. */
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001 + source++ % 200)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(client->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
  if (bind(client->fd, (struct sockaddr *)&from, sizeof from) < 0) die("bind");
  if (connect(client->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
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
    if (time > client->due + timeout_ms) {
      finish(client, "timeout");
    } else if (pace > 0 && client->connected && client->written == client->request->length) {
      double allowed = pace * (time - client->due) / 1e3 - client->received;
      if (allowed >= 1) take(client, allowed);
    }
  }
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void quantiles(const char *name, double *values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  double at[4] = {0.5, 0.9, 0.99, 1};
  for (int index = 0; index < 4; index++) {
    size_t rank = ceil(at[index] * count);
    at[index] = count ? values[rank > 0 ? rank - 1 : 0] : 0;
  }
  printf(",\"%s\":{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, at[0], at[1], at[2], at[3]);
}

static bool same_answer(const struct record *a, const struct record *b) {
  return a->request == b->request && a->status == b->status && a->length == b->length && a->hash == b->hash &&
         strcmp(a->result, b->result) == 0;
}

static void print_answer(const struct record *record) {
  printf("\"name\":\"%s\",\"result\":\"%s\",\"status\":%d,\"length\":%llu,\"hash\":\"%016llx\"",
         requests[record->request].name, record->result, record->status, (unsigned long long)record->length,
         (unsigned long long)record->hash);
}

static void report(double begun, bool each) {
  double wall = now() - begun;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  for (size_t index = 0; each && index < record_count; index++) {
    const struct record *record = &records[index];
    printf("{");
    print_answer(record);
    printf(",\"due\":%.3f,\"sent\":%.3f,\"joined\":%.3f,\"first\":%.3f,\"last\":%.3f}\n", record->due, record->sent,
           record->joined, record->first, record->last);
  }
  printf("{\"requests\":%zu,\"bytes\":%llu,\"seconds\":%.4f,\"cpuSeconds\":%.4f", record_count,
         (unsigned long long)all_bytes, wall / 1e3, cpu);
  size_t begun_answers = 0;
  for (int index = 0; index < client_count; index++) begun_answers += clients[index]->fd >= 0 && clients[index]->first > 0;
  printf(",\"underWay\":%zu", begun_answers);
  double *values = malloc(sizeof *values * (record_count + 1));
  size_t first = 0, last = 0, late = 0;
  for (size_t index = 0; index < record_count; index++)
    if (records[index].first) values[first++] = records[index].first - records[index].due;
  quantiles("first", values, first);
  for (size_t index = 0; index < record_count; index++)
    if (strcmp(records[index].result, "ok") == 0) values[last++] = records[index].last - records[index].due;
  quantiles("last", values, last);
  for (size_t index = 0; index < record_count; index++) values[late++] = records[index].sent - records[index].due;
  quantiles("late", values, late);
  printf(",\"answers\":[");
  struct record kinds[256];
  size_t counts[256], kind_count = 0;
  for (size_t index = 0; index < record_count; index++) {
    size_t kind = 0;
    while (kind < kind_count && !same_answer(&kinds[kind], &records[index])) kind++;
    if (kind == 256) kind = 255;
    else if (kind == kind_count) kinds[kind_count] = records[index], counts[kind_count++] = 0;
    counts[kind]++;
  }
  for (size_t kind = 0; kind < kind_count; kind++) {
    printf("%s{", kind ? "," : "");
    print_answer(&kinds[kind]);
    printf(",\"count\":%zu}", counts[kind]);
  }
  printf("]}\n");
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "", *file = NULL;
  double seconds = 0, rate = 0;
  int wanted = 1;
  bool each = false;
  if (strcmp(mode, "hash") == 0) {
    struct hash hash = {0};
    for (ssize_t got; (got = read(0, buffer, sizeof buffer)) > 0;) hash_bytes(&hash, buffer, got);
    printf("{\"length\":%llu,\"hash\":\"%016llx\"}\n", (unsigned long long)hash.length,
           (unsigned long long)hash_value(hash));
    return 0;
  }
  for (int index = 2; index < argc; index++) {
    char *value = strchr(argv[index], '=');
    if (!value) die(argv[index]);
    *value++ = 0;
    const char *name = argv[index];
    if (strcmp(name, "port") == 0) port = atoi(value);
    else if (strcmp(name, "requests") == 0) file = value;
    else if (strcmp(name, "clients") == 0) wanted = atoi(value);
    else if (strcmp(name, "seconds") == 0) seconds = atof(value);
    else if (strcmp(name, "rate") == 0) rate = atof(value);
    else if (strcmp(name, "pace") == 0) pace = atof(value);
    else if (strcmp(name, "timeout") == 0) timeout_ms = atof(value) * 1e3;
    else if (strcmp(name, "rcvbuf") == 0) rcvbuf = atoi(value);
    else if (strcmp(name, "mss") == 0) mss = atoi(value);
    else if (strcmp(name, "seed") == 0) random_state = strtoull(value, NULL, 10);
    else if (strcmp(name, "records") == 0) each = atoi(value);
    else die(name);
  }
  bool open_loop = strcmp(mode, "open") == 0, slow = strcmp(mode, "slow") == 0, first = strcmp(mode, "first") == 0;
  closed_loop = strcmp(mode, "closed") == 0;
  if (!file || !port || !(open_loop || slow || first || closed_loop || strcmp(mode, "burst") == 0))
    die("load MODE port=N requests=FILE …");
  read_requests(file);
  setpriority(PRIO_PROCESS, 0, -10); /* where we may: who is late must not be us */
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (slow) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) < 0) die("standard input");
  }

  double begun = now(), due = begun, looked = begun;
  deadline = begun + seconds * 1e3;
  bool stopped = false, said = false;
  if (open_loop) {
    due -= log(1 - random_share()) / rate * 1e3;
  } else {
    for (int index = 0; index < wanted; index++) new_client();
    for (int index = 0; index < wanted; index++) ask(clients[index], now());
  }
  for (;;) {
    double time = now();
    for (; open_loop && due <= time && due < deadline; due -= log(1 - random_share()) / rate * 1e3)
      ask(idle_client(), due);
    if (first && running == 0) {
      struct record *record = &records[record_count - 1];
      if ((strcmp(record->result, "ok") == 0 && record->status == 200) || time > begun + timeout_ms) break;
      record_count--;
      usleep(1000);
      ask(clients[0], begun);
    }
    if (slow && (stopped || time > deadline)) break;
    if (running == 0 && !first && !(open_loop && due < deadline) && !(closed_loop && time < deadline)) break;
    if (!said && !open_loop && !closed_loop && !first && asked >= wanted) {
      printf("asked\n");
      fflush(stdout);
      said = true;
    }
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, open_loop ? 1 : slow ? 20 : 50);
    for (int index = 0; index < count; index++) {
      struct client *client = events[index].data.ptr;
      if (!client) stopped = read(0, buffer, 1) <= 0;
      else if (client->fd >= 0) act(client, events[index].events);
    }
    if (now() - looked >= (slow ? 20 : 50)) look_at_all(looked = now());
  }
  report(begun, each);
  return 0;
}
