/*
 * What load.c makes of an HTTP/1.1 answer: where it ends (RFC 9112, section 6), its status, and the length and a hash of
 * its body with chunked coding taken away. A body that its connection cut short is told from one that is whole.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A fast hash of a stream, the same however it is cut; only to be compared with itself. */
struct hash {
  uint64_t state, pending, length;
};

static void mix(struct hash *hash, uint64_t word) {
  uint64_t mixed = hash->state ^ word;
  hash->state = ((mixed << 29) | (mixed >> 35)) * 0x9e3779b97f4a7c15u;
}

static void hash_bytes(struct hash *hash, const char *bytes, size_t count) {
  for (; count > 0 && hash->length % 8 != 0; bytes++, count--, hash->length++) {
    hash->pending |= (uint64_t)(unsigned char)*bytes << (hash->length % 8 * 8);
    if (hash->length % 8 == 7) {
      mix(hash, hash->pending);
      hash->pending = 0;
    }
  }
  for (; count >= 8; bytes += 8, count -= 8, hash->length += 8) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    mix(hash, word);
  }
  for (; count > 0; bytes++, count--, hash->length++)
    hash->pending |= (uint64_t)(unsigned char)*bytes << (hash->length % 8 * 8);
}

static uint64_t hash_value(struct hash hash) {
  mix(&hash, hash.pending);
  mix(&hash, hash.length);
  return hash.state ^ (hash.state >> 32);
}

static void print_hash_of_input(void) {
  static char input[65536];
  struct hash hash = {0};
  for (ssize_t got; (got = read(0, input, sizeof input)) > 0;) hash_bytes(&hash, input, got);
  printf("{\"length\":%llu,\"hash\":\"%016llx\"}\n", (unsigned long long)hash.length,
         (unsigned long long)hash_value(hash));
}

enum part { HEAD, BODY_OF_LENGTH, BODY_TO_CLOSE, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, WHOLE, MALFORMED };

struct answer {
  enum part part;
  int status;
  bool closes;    /* the server will close the connection */
  uint64_t left;  /* bytes of the body, or of the chunk, that are still to come */
  size_t held;    /* bytes of `line` in use */
  char line[8192]; /* the head, or one line of chunked coding */
  struct hash body;
  char tail[4]; /* of the body */
};

static void answer_reset(struct answer *answer) {
  answer->part = HEAD;
  answer->status = 0;
  answer->closes = false;
  answer->left = answer->held = 0;
  answer->body = (struct hash){0};
  memset(answer->tail, 0, sizeof answer->tail);
}

static const char *field(const char *head, const char *name) {
  size_t length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, length) == 0 && line[length] == ':')
      return line + length + 1 + strspn(line + length + 1, " ");
  }
  return NULL;
}

static void read_head(struct answer *answer) {
  if (sscanf(answer->line, "HTTP/1.%*c %d", &answer->status) != 1) {
    answer->part = MALFORMED;
    return;
  }
  const char *length = field(answer->line, "content-length");
  const char *coding = field(answer->line, "transfer-encoding");
  const char *connection = field(answer->line, "connection");
  answer->closes = connection && strncasecmp(connection, "close", 5) == 0;
  if (answer->status / 100 == 1) {
    answer->held = 0; /* the final answer is still to come */
  } else if (answer->status == 204 || answer->status == 304) {
    answer->part = WHOLE;
  } else if (coding && strncasecmp(coding, "chunked", 7) == 0) {
    answer->part = CHUNK_SIZE;
  } else if (length) {
    answer->left = strtoull(length, NULL, 10);
    answer->part = answer->left > 0 ? BODY_OF_LENGTH : WHOLE;
  } else {
    answer->part = BODY_TO_CLOSE;
    answer->closes = true;
  }
}

/* One more byte of a head or a line; acts when that is complete. */
static void read_line(struct answer *answer, char byte) {
  if (answer->held + 1 >= sizeof answer->line) {
    answer->part = MALFORMED;
    return;
  }
  answer->line[answer->held++] = byte;
  answer->line[answer->held] = 0;
  if (byte != '\n') return;
  if (answer->part == HEAD) {
    if (answer->held >= 4 && memcmp(answer->line + answer->held - 4, "\r\n\r\n", 4) == 0) {
      read_head(answer);
      answer->held = 0;
    }
    return;
  }
  if (answer->part == CHUNK_SIZE) {
    char *end;
    answer->left = strtoull(answer->line, &end, 16);
    answer->part = end == answer->line ? MALFORMED : answer->left > 0 ? CHUNK : TRAILER;
  } else if (answer->part == CHUNK_END) {
    answer->part = answer->held == 2 ? CHUNK_SIZE : MALFORMED;
  } else if (answer->held == 2) {
    answer->part = WHOLE;
  }
  answer->held = 0;
}

static void keep_tail(struct answer *answer, const char *bytes, size_t count) {
  size_t fresh = count < sizeof answer->tail ? count : sizeof answer->tail;
  memmove(answer->tail, answer->tail + fresh, sizeof answer->tail - fresh);
  memcpy(answer->tail + sizeof answer->tail - fresh, bytes + count - fresh, fresh);
}

static void answer_bytes(struct answer *answer, const char *bytes, size_t count) {
  while (count > 0 && answer->part != WHOLE && answer->part != MALFORMED) {
    if (answer->part != BODY_OF_LENGTH && answer->part != BODY_TO_CLOSE && answer->part != CHUNK) {
      read_line(answer, *bytes);
      bytes++, count--;
      continue;
    }
    size_t take = answer->part == BODY_TO_CLOSE || answer->left > count ? count : answer->left;
    hash_bytes(&answer->body, bytes, take);
    keep_tail(answer, bytes, take);
    bytes += take, count -= take;
    if (answer->part == BODY_TO_CLOSE) continue;
    answer->left -= take;
    if (answer->left == 0) answer->part = answer->part == CHUNK ? CHUNK_END : WHOLE;
  }
}

/* The connection has ended: a body that has no other end is whole now. */
static bool answer_ended(struct answer *answer) {
  if (answer->part == BODY_TO_CLOSE) answer->part = WHOLE;
  return answer->part == WHOLE;
}
