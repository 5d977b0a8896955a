/* progress.c - shows how a training goes: a bar on a terminal, a line an epoch anywhere. */
#include "progress.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLEAR_LINE "\r\033[K"
#define GREEN      "\033[32m"
#define PLAIN      "\033[0m"

static const double redraw_seconds = 0.1;

/* Whether the terminal's text is UTF-8: by the first of these that is set, as setlocale goes. */
static bool shows_blocks(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *value = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && (!value || !*value); i++)
        value = getenv(names[i]);
    return value && (strstr(value, "UTF-8") || strstr(value, "utf8"));
}

void cli_progress_start(cli_progress *shown, const cli_common *common)
{
    *shown = (cli_progress){
        .lines = !common->quiet,
        .bar = !common->quiet && cli_is_terminal(stderr),
        .colors = cli_colors(stderr),
        .spark = cli_is_terminal(stderr) && shows_blocks(),
        .start = cli_seconds(),
    };
}

void cli_progress_clear(cli_progress *shown)
{
    if (shown->visible) fputs(CLEAR_LINE, stderr);
    shown->visible = false;
}

/* "1:02:03" or "2:03". */
static void time_text(double seconds, char *text, size_t size)
{
    int s = seconds < 359999 ? (int)(seconds + 0.5) : 359999;
    if (s >= 3600)
        snprintf(text, size, "%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%d:%02d", s / 60, s % 60);
}

/* The bar is that of the whole training, the figures are the epoch's. */
static void draw(const cli_progress *shown, const cn_progress *p, double now)
{
    enum { NARROWEST = 8, WIDEST = 40 };
    char head[64], number[CLI_COUNT_TEXT], tail[160], left[32], rate[CLI_COUNT_TEXT];
    double done = (p->epoch - 1 + (double)p->step / p->steps) / p->epochs;
    time_text((now - shown->start) * (1 - done) / done, left, sizeof left);
    int digits = snprintf(number, sizeof number, "%d", p->epochs);
    int before = snprintf(head, sizeof head, "epoch %*d/%d ", digits, p->epoch, p->epochs);
    char accuracy[40] = "";
    if (!isnan(p->train_accuracy)) /* else numbers are learned */
        snprintf(accuracy, sizeof accuracy, "  accuracy %6.2f %%", 100 * p->train_accuracy);
    int after = snprintf(tail, sizeof tail, " loss %.4f%s  %7s images/s  %5s left", p->train_loss,
                         accuracy, cli_rate_text(p->images_per_second, rate), left);
    int width = cli_terminal_width(stderr) - 1; /* the last column may wrap */
    int bar = width - before - after - 2;
    if (bar > WIDEST) bar = WIDEST;

    fputs(CLEAR_LINE, stderr);
    if (bar < NARROWEST) { /* figures before ornament */
        fprintf(stderr, "%.*s", width, head);
        if (width > before) fprintf(stderr, "%.*s", width - before, tail);
    } else {
        static const char full[] = "========================================";
        int filled = (int)(bar * done);
        fprintf(stderr, "%s[%s%.*s%s%*s]%s", head, shown->colors ? GREEN : "", filled, full,
                shown->colors ? PLAIN : "", bar - filled, "", tail);
    }
    fflush(stderr);
}

void cli_progress_step(cli_progress *shown, const cn_progress *p)
{
    if (!shown->bar) return;
    double now = cli_seconds();
    if (now - shown->drawn < redraw_seconds) return;
    draw(shown, p, now);
    shown->drawn = now;
    shown->visible = true;
}

/* The losses of the last epochs, from the lowest (U+2581) to the highest (U+2588). */
static void draw_spark(cli_progress *shown, double loss)
{
    if (shown->losses == CLI_SPARK)
        memmove(shown->loss, shown->loss + 1, (size_t)--shown->losses * sizeof *shown->loss);
    shown->loss[shown->losses++] = loss;
    double low = loss, high = loss;
    for (int i = 0; i < shown->losses; i++) {
        low = fmin(low, shown->loss[i]);
        high = fmax(high, shown->loss[i]);
    }
    fputs("  ", stderr);
    for (int i = 0; i < shown->losses; i++) {
        double part = high > low ? (shown->loss[i] - low) / (high - low) : 0;
        fprintf(stderr, "\xe2\x96%c", 0x81 + (int)(7 * part));
    }
}

void cli_progress_epoch(cli_progress *shown, const cn_progress *p)
{
    char number[CLI_COUNT_TEXT], rate[CLI_COUNT_TEXT];
    cli_progress_clear(shown);
    if (!shown->lines) return;
    int width = snprintf(number, sizeof number, "%d", p->epochs);
    fprintf(stderr, "epoch %*d/%d  loss %.4f", width, p->epoch, p->epochs, p->train_loss);
    if (!isnan(p->train_accuracy)) fprintf(stderr, "  accuracy %6.2f %%", 100 * p->train_accuracy);
    if (!isnan(p->valid_loss)) fprintf(stderr, "  valid loss %.4f", p->valid_loss);
    if (!isnan(p->valid_accuracy))
        fprintf(stderr, "  valid accuracy %6.2f %%", 100 * p->valid_accuracy);
    if (!isnan(p->valid_mean_ap)) fprintf(stderr, "  mean AP %.4f", p->valid_mean_ap);
    if (!isnan(p->valid_r_squared)) fprintf(stderr, "  R squared %.4f", p->valid_r_squared);
    if (!isnan(p->valid_mean_iou)) fprintf(stderr, "  mean IoU %.4f", p->valid_mean_iou);
    fprintf(stderr, "  %s images/s", cli_rate_text(p->images_per_second, rate));
    if (shown->spark) draw_spark(shown, p->train_loss);
    fputc('\n', stderr);
}
