#ifndef SWATH_DECL_CODES_H
#define SWATH_DECL_CODES_H

/* What every sw_ function returns: 0 (or a count), else one of these. bindings/faults.py maps them. */
#define SW_OK 0
#define SW_E_ARGUMENT -1 /* a pointer, size or stride that makes no sense */
#define SW_E_WINDOW -2   /* a scene row is needed that the window does not hold */
#define SW_E_ORDER -3    /* the call does not follow the one before it */
#define SW_E_SPACE -4    /* the output buffer is too small */
#define SW_E_STOPPED -5  /* the frame clock does not run */
#define SW_E_MEMORY -6   /* no memory */
#define SW_E_SYSTEM -7   /* the operating system refused; errno says why */
#define SW_E_DAMAGED -8  /* memory that another process writes holds what cannot be */

#endif
