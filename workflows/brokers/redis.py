"""django-q2's broker in Redis, whose client is loaded only where it is used: it takes 6 MiB."""

from django_q.brokers.redis_broker import Redis
from redis import RedisError

from workflows.brokers import Messages, bear, outage


class RedisBroker(Redis):  # type: ignore[misc]
    """Redis hands a message over as soon as it is there."""

    def dequeue(self) -> Messages:
        try:
            messages = super().dequeue() or []
            for _, message in messages:
                self.connection.lrem(self.list_key, 0, message)  # one of the same is enough
        except RedisError as error:
            return bear(error)
        outage.is_over()
        return messages
