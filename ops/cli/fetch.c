#include "fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "file.h"

/* One download under way. */
struct download {
    const struct fetch_request *request;
    CURL *curl;
    int fd; /* of the part */
    char part[4096];
    int64_t start, written; /* bytes there before, and added */
    struct err *err;        /* set when writing failed */
    enum err_code code;
};

enum err_code fetch_start(struct err *err)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
               ? ERR_OK
               : err_set(err, ERR_UNAVAILABLE, "libcurl does not start");
}

void fetch_stop(void)
{
    curl_global_cleanup();
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
    struct download *d = ctx;
    const size_t len = size * count;
    int64_t most = d->request->bytes_max;
    d->code = ERR_OK;
    if (most > 0 && d->start + d->written + (int64_t)len > most)
        d->code = err_set(d->err, ERR_LIMIT, "'%s' has more than %lld bytes", d->request->url,
                          (long long)most);
    if (!d->code)
        d->code = file_write_all(d->fd, bytes, len, d->part, d->err);
    d->written += (int64_t)len;
    return d->code ? 0 : len;
}

static void set_options(struct download *d)
{
    CURL *c = d->curl;
    curl_easy_setopt(c, CURLOPT_URL, d->request->url);
#if LIBCURL_VERSION_NUM >= 0x075500 /* 7.85; the tarball's base system has an older one */
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(c, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 10L);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 10L); /* bytes a second … */
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);  /* … for so long: it hangs */
    curl_easy_setopt(c, CURLOPT_USERAGENT, "triad");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
    if (d->start > 0)
        curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)d->start);
}

static enum err_code explain(struct download *d, CURLcode result)
{
    long status = 0;
    const char *url = d->request->url;
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status);
    if (d->code)
        return d->code;
    if (status == 401 || status == 403)
        return err_set(d->err, ERR_DENIED, "'%s' wants an account or refuses (status %ld)", url,
                       status);
    if (status == 404 || status == 410)
        return err_set(d->err, ERR_NOT_FOUND, "'%s' is not there (status %ld)", url, status);
    if (status >= 400)
        return err_set(d->err, ERR_UNAVAILABLE, "'%s' answers with status %ld", url, status);
    return err_set(d->err, ERR_UNAVAILABLE, "'%s': %s; what came is kept, try again", url,
                   curl_easy_strerror(result));
}

/* A part that is complete already: the server has nothing after it. */
static bool has_nothing_more(struct download *d)
{
    long status = 0;
    curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &status);
    return d->start > 0 && status == 416;
}

static enum err_code begin_anew(struct download *d)
{
    d->start = d->written = 0;
    curl_easy_setopt(d->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)0);
    return ftruncate(d->fd, 0) == 0 ? ERR_OK : err_os(d->err, errno, "begin '%s' anew", d->part);
}

static enum err_code transfer(struct download *d)
{
    struct stat status;
    d->fd = open(d->part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (d->fd < 0)
        return err_os(d->err, errno, "open '%s'", d->part);
    d->start = fstat(d->fd, &status) == 0 ? status.st_size : 0;
    d->curl = curl_easy_init();
    ASSERT(d->curl != NULL);
    set_options(d);
    CURLcode result = curl_easy_perform(d->curl);
    if (result == CURLE_RANGE_ERROR && d->start > 0) { /* the server only sends whole files */
        enum err_code code = begin_anew(d);
        result = code ? CURLE_WRITE_ERROR : curl_easy_perform(d->curl);
        d->code = code ? code : d->code;
    }
    enum err_code code = result == CURLE_OK || has_nothing_more(d) ? ERR_OK : explain(d, result);
    curl_easy_cleanup(d->curl);
    if (fsync(d->fd) != 0 && !code)
        code = err_os(d->err, errno, "write '%s'", d->part);
    close(d->fd);
    return code;
}

static enum err_code take_place(struct download *d, struct fetch_result *out)
{
    const struct fetch_request *r = d->request;
    char hex[DIGEST_HEX_SIZE], unexpected[4200];
    struct stat status;
    enum err_code code = hash_file(d->part, &out->digest, d->err);
    if (code)
        return code;
    out->bytes = stat(d->part, &status) == 0 ? status.st_size : 0;
    out->resumed = d->start;
    if (r->digest && !digest_equal(r->digest, &out->digest)) {
        snprintf(unexpected, sizeof unexpected, "%s.unexpected", r->path);
        if (rename(d->part, unexpected) != 0)
            return err_os(d->err, errno, "rename '%s'", d->part);
        return err_set(d->err, ERR_CORRUPT,
                       "'%s' is not the file that was expected (its digest is %s); it is kept as "
                       "'%s'",
                       r->url, digest_hex(&out->digest, hex), unexpected);
    }
    if (rename(d->part, r->path) != 0)
        return err_os(d->err, errno, "rename '%s'", d->part);
    return ERR_OK;
}

enum err_code fetch_file(const struct fetch_request *request, struct fetch_result *out,
                         struct err *err)
{
    struct download d = {.request = request, .err = err};
    char folder[4096];
    if (snprintf(d.part, sizeof d.part, "%s.part", request->path) >= (int)sizeof d.part)
        return err_set(err, ERR_LIMIT, "the path '%.80s…' is too long", request->path);
    snprintf(folder, sizeof folder, "%s", request->path);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = '\0';
        enum err_code code = file_mkdirs(folder, 0755, err);
        if (code)
            return code;
    }
    enum err_code code = transfer(&d);
    return code ? code : take_place(&d, out);
}
