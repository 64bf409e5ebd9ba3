/* The nodata value of one type of samples, for the kernels that know one. Before it is included: SAMPLE, its SAMPLE_MIN
 * and SAMPLE_MAX, NAME(x), and for floats SAMPLE_IS_FLOAT. No include guard on purpose. */

/* Whether a sample can be nodata; if so, *sample is what it then holds. A value that the type cannot hold matches none. */
static int NAME(has_nodata)(int has, double number, SAMPLE *sample)
{
    *sample = 0;
    if (!has)
        return 0;
#ifndef SAMPLE_IS_FLOAT
    if (!(number >= (double)SAMPLE_MIN && number <= (double)SAMPLE_MAX))
        return 0;
#endif
    *sample = (SAMPLE)number;
#ifdef SAMPLE_IS_FLOAT
    return 1;
#else
    return (double)*sample == number;
#endif
}
