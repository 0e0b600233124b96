"""Lists are paged: `{"results", "next", "previous"}`, newest first by id."""

from rest_framework.pagination import CursorPagination


class Pagination(CursorPagination):
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500
    ordering = "-id"
