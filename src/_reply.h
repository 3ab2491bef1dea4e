/* The reply that an agent usually gives: HTTP/1.1, one Content-Length, and nothing said about the
 * connection. Whatever is not quite that is for the general reader (fasttrace/_http.py). */
#ifndef FT_REPLY_H
#define FT_REPLY_H

#include <stddef.h>
#include <string.h>

#define FT_HEADER_NAME_MAX 64
#define FT_REPLY_LENGTH_DIGITS 6 /* of a body, at most */

typedef struct {
    int status;
    const char *at; /* the line to be read next */
    const char *end;
    long length; /* of the body, as Content-Length says; -1: it has not yet */
    /* the header that was read last, its name in lower case */
    char name[FT_HEADER_NAME_MAX];
    size_t name_size;
    const char *value;
    size_t value_size;
} ft_reply;

enum { FT_REPLY_UNUSUAL = -1, FT_REPLY_BODY, FT_REPLY_HEADER };

static inline int ft_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static inline int ft_header_is(const ft_reply *reply, const char *name)
{
    return reply->name_size == strlen(name) && memcmp(reply->name, name, reply->name_size) == 0;
}

/* The end of the line at `at`, which is at its CR; NULL if it has none, or does not end in CR LF. */
static const char *ft_line_end(const char *at, const char *end)
{
    const char *line_end = at < end ? (const char *)memchr(at, '\n', (size_t)(end - at)) : NULL;
    return line_end != NULL && line_end != at && line_end[-1] == '\r' ? line_end - 1 : NULL;
}

/* Reads the first line; whether it is a usual one. */
static int ft_reply_begin(ft_reply *reply, const char *data, size_t size)
{
    const char *line_end;
    int i;
    if (size < 16 || memcmp(data, "HTTP/1.1 ", 9) != 0 || (data[12] != ' ' && data[12] != '\r') ||
        data[9] == '1')
        return 0;
    reply->status = 0;
    for (i = 9; i < 12; i++) {
        if (data[i] < '0' || data[i] > '9')
            return 0;
        reply->status = reply->status * 10 + data[i] - '0';
    }
    line_end = ft_line_end(data + 12, data + size);
    if (line_end == NULL)
        return 0;
    reply->at = line_end + 2;
    reply->end = data + size;
    reply->length = -1;
    return 1;
}

static int ft_reply_set_length(ft_reply *reply)
{
    size_t i;
    if (reply->length >= 0 || reply->value_size == 0 || reply->value_size > FT_REPLY_LENGTH_DIGITS)
        return 0;
    reply->length = 0;
    for (i = 0; i < reply->value_size; i++) {
        if (reply->value[i] < '0' || reply->value[i] > '9')
            return 0;
        reply->length = reply->length * 10 + reply->value[i] - '0';
    }
    return 1;
}

/* Reads the next header, or finds that `at` is now at the body, and that this is all there. */
static int ft_reply_next(ft_reply *reply)
{
    const char *at = reply->at;
    const char *line_end = ft_line_end(at, reply->end);
    const char *colon;
    size_t i;
    if (line_end == NULL)
        return FT_REPLY_UNUSUAL;
    reply->at = line_end + 2;
    if (line_end == at)
        return reply->end - reply->at == reply->length ? FT_REPLY_BODY : FT_REPLY_UNUSUAL;
    colon = (const char *)memchr(at, ':', (size_t)(line_end - at));
    if (colon == NULL || colon == at || colon - at > FT_HEADER_NAME_MAX)
        return FT_REPLY_UNUSUAL;
    reply->name_size = (size_t)(colon - at);
    for (i = 0; i < reply->name_size; i++) {
        if (at[i] <= ' ' || at[i] >= 127)
            return FT_REPLY_UNUSUAL;
        reply->name[i] = (char)(at[i] >= 'A' && at[i] <= 'Z' ? at[i] + 32 : at[i]);
    }
    colon++;
    while (colon < line_end && ft_is_blank(*colon))
        colon++;
    while (line_end > colon && ft_is_blank(line_end[-1]))
        line_end--;
    reply->value = colon;
    reply->value_size = (size_t)(line_end - colon);
    if (ft_header_is(reply, "transfer-encoding") || ft_header_is(reply, "connection"))
        return FT_REPLY_UNUSUAL;
    if (ft_header_is(reply, "content-length") && !ft_reply_set_length(reply))
        return FT_REPLY_UNUSUAL;
    return FT_REPLY_HEADER;
}

/* Whether `data` is a usual reply with status 200, this body, and this value of the header `name`; of a header that
 * comes more than once the last counts, and one that is missing counts as empty. */
static int ft_reply_is(const char *data, size_t size, const char *body, size_t body_size, const char *name,
                       const char *value, size_t value_size)
{
    ft_reply reply;
    const char *found = "";
    size_t found_size = 0;
    int what;
    if (!ft_reply_begin(&reply, data, size) || reply.status != 200)
        return 0;
    while ((what = ft_reply_next(&reply)) == FT_REPLY_HEADER)
        if (ft_header_is(&reply, name)) {
            found = reply.value;
            found_size = reply.value_size;
        }
    return what == FT_REPLY_BODY && (size_t)reply.length == body_size && found_size == value_size &&
           memcmp(reply.at, body, body_size) == 0 && memcmp(found, value, value_size) == 0;
}

#endif
