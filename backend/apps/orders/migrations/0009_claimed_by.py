"""Which process claimed an order, and until when the one before the holder of the lease may have sent."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("orders", "0008_entry_fees")]

    operations = [
        migrations.AddField(model_name="trade", name="claimed_by", field=models.CharField(max_length=32, null=True)),
        migrations.AddField(model_name="senderlease", name="before_renewed_at", field=models.DateTimeField(null=True)),
    ]
